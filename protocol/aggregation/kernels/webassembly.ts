// The WebAssembly globals that kernels use, typed here because neither the language's library nor Node's types declare them.

export interface SharedMemory {
  readonly buffer: SharedArrayBuffer
}

interface Globals {
  Memory: new (limits: { initial: number; maximum: number; shared: true }) => SharedMemory
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: Record<string, unknown> }
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: Globals }

const PAGE_BYTES = 65_536

/** Zeroed memory that threads can share. Pages that are never touched take no room. */
export function sharedMemory(bytes: number): SharedMemory {
  const pages = Math.ceil(bytes / PAGE_BYTES)
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

export const compile = (bytes: Uint8Array): object => new WebAssembly.Module(bytes)

/** The functions of a module that was compiled for memory imported as `env.memory`. */
export function instantiate(module: object, memory: SharedMemory): Record<string, unknown> {
  return new WebAssembly.Instance(module, { env: { memory } }).exports
}
