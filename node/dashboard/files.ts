// The files of the page, as they are: plain modules and styles, and the charting library as it lies in node_modules.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

/** Beside this file, or, where this one was built, in the sources that are packed with it. */
const folder = [new URL('./page/', import.meta.url), new URL('../../../node/dashboard/page/', import.meta.url)]
  .map((url) => fileURLToPath(url))
  .find((path) => existsSync(join(path, 'index.html')))

const VENDOR: Record<string, string> = { '/vendor/uplot.js': 'uPlot.esm.js', '/vendor/uplot.css': 'uPlot.min.css' }

/** The file that a path of the page names; undefined for all else: no path leads out of the folder. */
function fileOf(path: string): string | undefined {
  const vendor = Object.hasOwn(VENDOR, path) ? VENDOR[path] : undefined
  if (vendor !== undefined) return createRequire(import.meta.url).resolve(`uplot/dist/${vendor}`)
  const name = path === '/' ? 'index.html' : /^\/([a-z][a-z-]*\.(?:js|css|svg))$/.exec(path)?.[1]
  return folder === undefined || name === undefined ? undefined : join(folder, name)
}

export const isPageFile = (path: string): boolean => {
  const file = fileOf(path)
  return file !== undefined && existsSync(file)
}

export async function readPageFile(path: string): Promise<{ type: string; bytes: Uint8Array }> {
  const file = fileOf(path)!
  return { type: TYPES[file.slice(file.lastIndexOf('.') + 1)]!, bytes: await readFile(file) }
}
