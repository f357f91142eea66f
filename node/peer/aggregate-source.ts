// Where the threads that aggregate find an encoded vector: in memory that they share, or in a file that each opens for itself.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { bytesSource, type RowSource } from '../../protocol/aggregation/kernels/index.ts'
import { MurmurError } from '../../protocol/errors.ts'

/** What is told to a thread. `bytes` are shared memory. */
export interface Place {
  codec: string
  maxAbs: number
  at: Uint8Array | { file: string }
}

export interface Source extends RowSource {
  place: Place
  close(): void
}

/** @throws disk-failed */
export function openSource(place: Place): Source {
  const { codec, maxAbs, at } = place
  return at instanceof Uint8Array ? { ...bytesSource(codec, at, maxAbs), place, close: () => {} } : fileSource(place, at.file)
}

export const openSources = (places: readonly Place[]): Source[] => {
  const sources: Source[] = []
  try {
    for (const place of places) sources.push(openSource(place))
    return sources
  } catch (error) {
    for (const source of sources) source.close()
    throw error
  }
}

function fileSource(place: Place, path: string): Source {
  const { codec, maxAbs } = place
  const guarded = <T>(act: () => T): T => {
    try {
      return act()
    } catch (error) {
      throw new MurmurError('disk-failed', `A payload cannot be read: ${(error as Error).message}; check the disk.`, { cause: error })
    }
  }
  const file = guarded(() => openSync(path, 'r'))
  return {
    ...{ codec, maxAbs, place },
    size: guarded(() => fstatSync(file).size),
    read(at, into) {
      for (let done = 0; done < into.length; ) {
        const count = guarded(() => readSync(file, into, done, into.length - done, at + done))
        if (count === 0) throw new MurmurError('disk-failed', `A payload ends after ${at + done} bytes while it is read; check the disk.`)
        done += count
      }
    },
    close: () => closeSync(file),
  }
}
