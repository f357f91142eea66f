// Pictures from files, through sharp: decoded, turned upright, sized, and laid out as a model takes them, one byte a value.
import type { Sharp, SharpOptions } from 'sharp'
import { MurmurError } from '../../protocol/errors.ts'
import { shown } from './file.ts'
import { shapeText } from './sample-shape.ts'

/** How a model takes a picture. */
export interface Picture {
  /** 1: grey. 3: red, green, blue. */
  channels: 1 | 3
  height: number
  width: number
  /** Colours of a pixel side by side, [height, width, channels], instead of one plane a colour, [channels, height, width]. */
  channelsLast: boolean
}

export interface Decoder {
  /** Bytes of a picture as the model takes it. @throws data-invalid */
  decode(path: string, picture: Picture): Promise<Uint8Array>
  /** As people see it: turned as its EXIF data says. @throws data-invalid */
  sizeOf(path: string): Promise<{ height: number; width: number }>
}

type SharpModule = typeof import('sharp').default

export const IMAGE_FILE = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i
/** Pictures that people have and that are not read: told, not passed over. */
export const OTHER_IMAGE_FILE = /\.(bmp|heic|svg|psd|jp2|jxl|pgm|ppm|dcm)$/i
/** Pixels of a picture: more than cameras give, and 400 MB while one is turned. */
const MAX_PIXELS = 100_000_000
/** The decoders of IMAGE_FILE; a file that says png and is SVG or PDF reaches no other. */
const LOADERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif'].map((name) => `VipsForeignLoad${name}`)
const OPTIONS: SharpOptions = { limitInputPixels: MAX_PIXELS, failOn: 'error' }

/** @throws data-invalid where a model takes no picture of known channels */
export function pictureShape(shape: readonly (number | null)[]): { [K in keyof Picture]: Picture[K] | null } {
  const [first = null, second = null, third = null] = shape
  const isChannels = (dim: number | null): dim is 1 | 3 => dim === 1 || dim === 3
  if (shape.length === 2) return { channels: 1, height: first, width: second, channelsLast: false }
  if (shape.length === 3 && (isChannels(first) || first === null)) {
    return { channels: first ?? 3, height: second, width: third, channelsLast: false }
  }
  if (shape.length === 3 && isChannels(third)) return { channels: third, height: first, width: second, channelsLast: true }
  throw new MurmurError(
    'data-invalid',
    `A folder of images takes a model whose input is [3, height, width], or [1, height, width] for grey ones, and this one takes ${shapeText(shape)}.`,
  )
}

const importSharp = async (): Promise<SharpModule> => (await import('sharp')).default

/** @param load for tests @throws data-missing where sharp is not installed */
export async function createDecoder(load = importSharp): Promise<Decoder> {
  const sharp = await load().catch((cause: unknown) => {
    throw new MurmurError('data-missing', 'Reading images takes sharp, which is not installed; get it with `npm install sharp`.', { cause })
  })
  // Each file is read once; kept ones would be used where they have changed since.
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: LOADERS })

  async function read<T>(path: string, use: (image: Sharp) => Promise<T>): Promise<T> {
    try {
      return await use(sharp(path, OPTIONS))
    } catch (cause) {
      const why = shown((cause as Error).message.replaceAll(path, 'it'), 200)
      throw new MurmurError('data-invalid', `${path} cannot be read as an image (${why}); mend it or take it out.`, { cause })
    }
  }

  return {
    decode: (path, { channels, height, width, channelsLast }) =>
      read(path, async (image) => {
        // Stretched, not cropped: what tells the class may lie at the edge. What is transparent becomes black.
        const sized = image.autoOrient().flatten().resize(width, height, { fit: 'fill' })
        const bytes = await sized
          .toColourspace(channels === 1 ? 'b-w' : 'srgb')
          .raw()
          .toBuffer()
        return channels === 1 || channelsLast ? bytes : planes(bytes)
      }),
    sizeOf: (path) => read(path, async (image) => (await image.metadata()).autoOrient),
  }
}

/** From colours side by side to one plane a colour. */
function planes(pixels: Uint8Array): Uint8Array {
  const size = pixels.length / 3
  const out = new Uint8Array(pixels.length)
  for (let i = 0; i < size; i++) {
    out[i] = pixels[3 * i]!
    out[size + i] = pixels[3 * i + 1]!
    out[2 * size + i] = pixels[3 * i + 2]!
  }
  return out
}
