// A peer's directory as people see it: the signed task and murmur.yaml with the peer's own settings.
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseDocument, stringify } from 'yaml'
import { MurmurError } from '../../protocol/errors.ts'
import { readIfPresent, writeDurable } from '../store/files.ts'

const taskFile = (dir: string): string => join(dir, 'task')
const configFile = (dir: string): string => join(dir, 'murmur.yaml')

/** @throws disk-failed */
export async function makeDirectory(dir: string): Promise<string> {
  const path = resolve(dir)
  try {
    await mkdir(path, { recursive: true })
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new MurmurError('disk-failed', `The directory ${path} cannot be made (${why}); choose another with write permission.`, { cause })
  }
  return path
}

/** The signed task of a directory, where it has one. */
export const readTask = (dir: string): Promise<Uint8Array | undefined> => readIfPresent(taskFile(dir))

/** Written last when a network is founded or joined: a directory with a task has all the rest. */
export const writeTask = (dir: string, envelope: Uint8Array): Promise<void> => writeDurable(taskFile(dir), envelope)

/** murmur.yaml as an object; {} where there is none. @throws bad-config with the line */
export async function readConfig(dir: string): Promise<{ file: string; values: Record<string, unknown> }> {
  const file = configFile(dir)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { file, values: {} }
    throw new MurmurError('bad-config', `${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
  const document = parseDocument(text)
  const mistake = document.errors[0]
  if (mistake !== undefined) {
    throw new MurmurError(
      'bad-config',
      `${file} is not YAML at line ${mistake.linePos?.[0].line ?? '?'}: ${mistake.message.split('\n')[0]}`,
    )
  }
  let values: unknown
  try {
    values = document.toJS() ?? {}
  } catch (cause) {
    throw new MurmurError('bad-config', `${file} names an alias that leads nowhere, or to far too much: ${(cause as Error).message}.`, {
      cause,
    })
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new MurmurError('bad-config', `${file} must hold "key: value" lines.`)
  }
  return { file, values: values as Record<string, unknown> }
}

export async function writeConfig(dir: string, values: Record<string, unknown>): Promise<void> {
  const head = "# This peer's own settings; command-line flags go before them. `murmur start --help` lists them.\n"
  await writeDurable(configFile(dir), new TextEncoder().encode(head + stringify(values)))
}
