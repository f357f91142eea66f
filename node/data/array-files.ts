// NumPy's .npz and .npy files, and .safetensors, as data sources.
import { basename, dirname, join, resolve } from 'node:path'
import { type UnzipFileInfo, unzipSync } from 'fflate'
import { MurmurError } from '../../protocol/errors.ts'
import { type ArrayFile, arraySource, INPUT_NAME } from './array-source.ts'
import { isFile, MAX_FILE_BYTES, namesIn, readBounded, readStart } from './file.ts'
import { NPY_HEADER_BYTES, parseNpy, parseNpyHeader } from './npy.ts'
import { parseSafetensorsHeader, SAFETENSORS_LENGTH_BYTES, safetensorsHeaderBytes } from './safetensors-arrays.ts'
import type { DataFormat } from './spec.ts'
import { openArray, readRows } from './stored-array.ts'

const NPY = '.npy'
/** Arrays in a .npz file: far more than a data set has, few enough to list at once. */
const MAX_ARRAYS = 10_000
/** Bytes that one deflated byte may stand for: 258 for each two bits, rounded up. */
const MAX_DEFLATE_RATIO = 1040
/** What a .npz file that is too large is good for. */
const UNPACK = 'unpack it (unzip) into a directory, whose .npy files may have any size'

export const npz: DataFormat = {
  usage: 'a .npz file with arrays x and y',
  async open(spec, selection) {
    const path = resolve(spec)
    if (!/\.npz$/i.test(path) || !(await isFile(path))) return undefined
    return arraySource(openNpz(await readBounded(path, MAX_FILE_BYTES, UNPACK), path), selection)
  },
}

export const npy: DataFormat = {
  usage: 'a directory with x.npy and y.npy',
  async open(spec, selection) {
    const path = resolve(spec)
    const single = /\.npy$/i.test(path) && (await isFile(path))
    const directory = single ? dirname(path) : path
    const files = await namesIn(directory)
    const input = single ? basename(path).slice(0, -NPY.length) : (selection.input ?? INPUT_NAME)
    if (files === undefined || (!single && !files.includes(input + NPY))) return undefined
    const arrays = new Map(files.filter((file) => /\.npy$/i.test(file)).map((file) => [file.slice(0, -NPY.length), join(directory, file)]))
    const read = async (name: string) => parseNpy(await readBounded(arrays.get(name)!), arrays.get(name)!)
    const open = async (name: string) => {
      const file = arrays.get(name)!
      const { bytes, fileBytes } = await readStart(file, NPY_HEADER_BYTES)
      const { fortran, ...header } = parseNpyHeader(bytes, fileBytes, file)
      return fortran && header.shape.length > 1 ? undefined : await openArray(file, header)
    }
    return arraySource({ name: path, path: directory, names: [...arrays.keys()], read, open }, { ...selection, input })
  },
}

export const safetensors: DataFormat = {
  usage: 'a .safetensors file with tensors x and y',
  async open(spec, selection) {
    const path = resolve(spec)
    if (!/\.safetensors$/i.test(path) || !(await isFile(path))) return undefined
    const start = await readStart(path, SAFETENSORS_LENGTH_BYTES)
    const { bytes, fileBytes } = await readStart(path, safetensorsHeaderBytes(start.bytes))
    const { names, describe } = parseSafetensorsHeader(bytes, fileBytes, path)
    const open = (name: string) => openArray(path, describe(name))
    const read = async (name: string) => {
      await using array = await open(name)
      return await readRows(array)
    }
    return arraySource({ name: path, path, names, read, open }, selection)
  },
}

/** @param path for errors @throws data-invalid */
export function openNpz(bytes: Uint8Array, path: string): ArrayFile {
  const entries = new Map<string, UnzipFileInfo>()
  unzip(bytes, path, (entry) => {
    if (entries.size === MAX_ARRAYS) throw new MurmurError('limit-exceeded', `${path} holds more than ${MAX_ARRAYS} files.`)
    entries.set(entry.name, entry)
    return false
  })
  const names = [...entries.keys()].filter((name) => name.endsWith(NPY)).map((name) => name.slice(0, -NPY.length))
  return {
    ...{ name: path, path, names },
    async read(name) {
      const file = name + NPY
      const { originalSize, size, compression } = entries.get(file)!
      const from = `"${name}" of ${path}`
      // Sizes are what the file's directory claims; nothing larger is ever unpacked.
      if (originalSize > MAX_FILE_BYTES) {
        throw new MurmurError('limit-exceeded', `${from} has ${originalSize} bytes; at most ${MAX_FILE_BYTES} are read: ${UNPACK}.`)
      }
      if (size > bytes.length || originalSize > size * (compression === 0 ? 1 : MAX_DEFLATE_RATIO)) {
        throw new MurmurError('data-invalid', `${path} cannot be unpacked (its sizes contradict each other); save it again.`)
      }
      return parseNpy(unzip(bytes, path, (entry) => entry.name === file)[file] ?? new Uint8Array(), from)
    },
  }
}

function unzip(bytes: Uint8Array, path: string, filter: (entry: UnzipFileInfo) => boolean): Record<string, Uint8Array> {
  if (bytes.length === 0) throw new MurmurError('data-invalid', `${path} is empty.`)
  try {
    return unzipSync(bytes, { filter })
  } catch (cause) {
    if (cause instanceof MurmurError) throw cause
    throw new MurmurError('data-invalid', `${path} cannot be unpacked (${(cause as Error).message}); save it again.`, { cause })
  }
}
