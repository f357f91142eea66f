// Files of data, opened in one way: what is there, how large it may be, and one sentence for what goes wrong.
import { createReadStream } from 'node:fs'
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { MurmurError } from '../../protocol/errors.ts'

/** Bytes of a file, or of what is unpacked from it: what Node reads into one buffer. */
export const MAX_FILE_BYTES = 2 ** 31 - 1

/** @param limit bytes @param advice for a larger one @throws data-missing, limit-exceeded */
export async function readBounded(path: string, limit = MAX_FILE_BYTES, advice = 'split it'): Promise<Buffer> {
  try {
    await using file = await openFile(path)
    const { size } = await file.stat()
    if (size > limit) throw new MurmurError('limit-exceeded', `${path} has ${size} bytes; at most ${limit} are read: ${advice}.`)
    return await readFile(file)
  } catch (cause) {
    if (cause instanceof MurmurError) throw cause
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new MurmurError('data-missing', `${path} cannot be read (${why}); check the path and its permissions.`, { cause })
  }
}

/** @throws data-missing */
export async function openFile(path: string): Promise<FileHandle> {
  try {
    if (!(await isFile(path))) throw new MurmurError('data-missing', `${path} is a directory; give a file.`)
    return await open(path)
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** What a file holds, chunk by chunk; unpacked where it is named .gz. @throws data-missing, data-invalid */
export async function* unpackedChunks(path: string): AsyncIterable<Buffer> {
  const file = createReadStream(path)
  const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file
  // A pipe does not hand on the errors of its source.
  file.on('error', (error) => stream.destroy(error))
  try {
    yield* stream as AsyncIterable<Buffer>
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code?.startsWith('Z_')) throw new MurmurError('data-invalid', `${path} cannot be unpacked (${message}); save it again.`, { cause })
    throw unreadable(path, cause)
  } finally {
    file.destroy()
  }
}

/** The first `limit` bytes, or all there are, and how many there are. @throws data-missing, data-invalid */
export async function readStart(path: string, limit: number): Promise<{ bytes: Uint8Array; fileBytes: number }> {
  await using file = await openFile(path)
  const { size: fileBytes } = await file.stat()
  const bytes = new Uint8Array(Math.min(fileBytes, limit))
  await readFull(file, bytes, 0, path)
  return { bytes, fileBytes }
}

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)

/** Fills `values` from an open file. @param from for errors @throws data-missing, data-invalid where the file is shorter than it was */
export async function readFull(file: FileHandle, values: ArrayBufferView, position: number, from: string): Promise<void> {
  const bytes = bytesOf(values)
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done).catch((cause: unknown) => {
      throw new MurmurError('data-missing', `${from} cannot be read (${(cause as NodeJS.ErrnoException).code}); check its disk.`, { cause })
    })
    if (bytesRead === 0) throw new MurmurError('data-invalid', `${from} has become shorter while it was used; start again.`)
    done += bytesRead
  }
}

/** False where `path` is a directory. @throws data-missing where no file is there, or it may not be looked at */
export async function isFile(path: string): Promise<boolean> {
  try {
    const found = await stat(path)
    // Their ends may never come, and opening a pipe may wait for ever.
    if (!found.isFile() && !found.isDirectory()) throw new MurmurError('data-missing', `${path} is a device or a pipe; give a file.`)
    return found.isFile()
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** Names in a directory; undefined where `path` is none. @throws data-missing */
export async function namesIn(path: string): Promise<string[] | undefined> {
  if (await isFile(path)) return undefined
  try {
    return await readdir(path)
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function unreadable(path: string, cause: unknown): MurmurError {
  if (cause instanceof MurmurError) return cause
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new MurmurError('data-missing', `There is no data at ${path}; check the path.`, { cause })
  }
  return new MurmurError('data-missing', `The data at ${path} cannot be read (${code ?? String(cause)}); check its permissions.`, { cause })
}

/** Text of a file as a short piece of a sentence: no control characters, which could rewrite a terminal. */
export const shown = (text: string, limit = 60): string => {
  const plain = text.replace(/\p{C}+/gu, ' ')
  return plain.length <= limit ? plain : `${plain.slice(0, limit)}...`
}

/** Names as a piece of a sentence, the first few of many. */
export function listed(names: readonly string[], most = 20): string {
  const some = names
    .slice(0, most)
    .map((name) => shown(name))
    .join(', ')
  return names.length <= most ? some : `${some}, ... (${names.length} in all)`
}
