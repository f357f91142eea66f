// Which images a folder holds for which classes: one sub-folder a class, in the folder itself or in its `train` and `test`.
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { MurmurError } from '../../protocol/errors.ts'
import { shown } from './file.ts'
import { IMAGE_FILE, OTHER_IMAGE_FILE } from './images.ts'

export interface ImageClass {
  name: string
  /** Paths, sorted. */
  files: string[]
}

export interface ImageFolder {
  train: ImageClass[]
  test?: ImageClass[]
}

/** Images of a folder: their paths lie in memory. */
const MAX_IMAGES = 2_000_000
/** The folder of images to test on, in this order. */
const TEST_FOLDERS = ['test', 'val', 'valid', 'validation']

/** @returns undefined where no sub-folder holds images @throws data-invalid, data-missing, limit-exceeded */
export async function findImageClasses(path: string): Promise<ImageFolder | undefined> {
  const root = await realpath(path)
  const folders = await foldersIn(path, root)
  const inTrain = folders.includes('train') ? await foldersIn(join(path, 'train'), root) : []
  if (inTrain.length === 0) {
    const train = await classesOf(path, folders, root)
    return train === undefined ? undefined : { train }
  }
  const train = await classesOf(join(path, 'train'), inTrain, root)
  const name = TEST_FOLDERS.find((known) => folders.includes(known))
  if (train === undefined || name === undefined) return train === undefined ? undefined : { train }
  const test = await classesOf(join(path, name), await foldersIn(join(path, name), root), root)
  return test === undefined ? { train } : { train, test }
}

async function classesOf(path: string, folders: readonly string[], root: string): Promise<ImageClass[] | undefined> {
  const classes: ImageClass[] = []
  let images = 0
  for (const folder of folders) {
    const files = await imagesIn(join(path, folder), root)
    images += files.length
    if (images > MAX_IMAGES) throw new MurmurError('limit-exceeded', `${path} holds more than ${MAX_IMAGES} images; use fewer.`)
    // Some systems write an accent as a letter of its own: the class is the same for all peers.
    classes.push({ name: folder.normalize('NFC'), files })
  }
  if (images === 0) return undefined
  const empty = classes.find(({ files }) => files.length === 0)
  if (empty !== undefined) {
    throw new MurmurError('data-invalid', `${join(path, empty.name)} holds no images, and each folder stands for a class; take it out.`)
  }
  const bad = classes.find(({ name }) => /\p{C}/u.test(name))
  if (bad !== undefined) {
    throw new MurmurError('data-invalid', `${path} holds a folder "${shown(bad.name)}" with control characters in its name; rename it.`)
  }
  return classes.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function imagesIn(folder: string, root: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name)
    if (OTHER_IMAGE_FILE.test(entry.name)) {
      throw new MurmurError('data-invalid', `${path} is an image of a kind that is not read; convert it to PNG, or take it out.`)
    }
    if (IMAGE_FILE.test(entry.name) && !(await isFolder(entry, path, root))) files.push(path)
  }
  return files.sort()
}

async function foldersIn(path: string, root: string): Promise<string[]> {
  const folders: string[] = []
  for (const entry of await entriesOf(path)) if (await isFolder(entry, join(path, entry.name), root)) folders.push(entry.name)
  return folders
}

/** Hidden ones are the file manager's own. */
async function entriesOf(path: string): Promise<Dirent[]> {
  try {
    return (await readdir(path, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'))
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new MurmurError('data-missing', `${path} cannot be read (${why}); check its permissions.`, { cause })
  }
}

/**
 * A link may lead elsewhere in the data, not out of it: who unpacks another's data set wants to train on that, not on files of their own.
 * @throws data-invalid, data-missing
 */
async function isFolder(entry: Dirent, path: string, root: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  try {
    const target = await realpath(path)
    const isDirectory = (await stat(target)).isDirectory()
    // Files beside the folders of classes, whatever they are, are not read.
    if (target.startsWith(root + sep) || !(isDirectory || IMAGE_FILE.test(entry.name))) return isDirectory
  } catch (cause) {
    if (!IMAGE_FILE.test(entry.name)) return false
    throw new MurmurError('data-missing', `${path} is a link to nothing; take it out.`, { cause })
  }
  throw new MurmurError('data-invalid', `${path} is a link that leads out of ${root}; put what it leads to there.`)
}
