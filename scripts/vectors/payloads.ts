// Vectors of payload roots, codecs, and the framing of requests and replies.
import { codecOf } from '../../protocol/codec/index.ts'
import { chunkCount, hashList, payloadRoot } from '../../protocol/payload.ts'
import { hexOf, joined, sha256, utf8, type VectorFile } from './kit.ts'

const KiB = 1024

/** As `about` says. */
const patterned = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 251)

export const payloadRoots = (): VectorFile => ({
  about:
    'Payload roots: a length in; number of chunks, hash list and root out. Byte i of the payload is (31 i + floor(i / 256)) mod 251. The root is the SHA-256 of the hash list.',
  cases: (
    [
      ['an empty payload has one empty chunk', 0],
      ['one byte', 1],
      ['exactly one chunk', 256 * KiB],
      ['one byte more', 256 * KiB + 1],
      ['three chunks, the last one short', 600_000],
    ] as const
  ).map(([why, length]) => {
    const payload = patterned(length)
    return {
      why,
      length,
      chunks: chunkCount(length),
      hashList: hexOf(hashList(payload, sha256)),
      root: hexOf(payloadRoot(payload, sha256)),
    }
  }),
})

const float32Bits = (values: Float32Array): string => hexOf(new Uint8Array(values.slice().buffer))

/** Numbers as JSON takes them; the rest as text. */
const readable = (values: ArrayLike<number>): (number | string)[] =>
  Array.from(values, (x) => (Number.isFinite(x) && !Object.is(x, -0) ? x : Object.is(x, -0) ? '-0' : String(x)))

export function codecVectors(name: string): VectorFile {
  const codec = codecOf(name)
  const encoded = (why: string, values: number[], maxAbs = 1e6) => {
    const exact = Float32Array.from(values)
    const bytes = codec.encode(exact)
    const decoded = codec.decode(bytes, exact.length, maxAbs)
    if ('rejected' in decoded) throw new Error(`${name}: ${why}: ${decoded.rejected}`)
    return {
      why,
      values: readable(exact),
      bytes: hexOf(bytes),
      maxAbs,
      decoded: readable(decoded.values),
      decodedBits: float32Bits(Float32Array.from(decoded.values)),
    }
  }
  const refused = (why: string, bytes: Uint8Array, count: number, code: string, maxAbs = 1e6) => {
    const decoded = codec.decode(bytes, count, maxAbs)
    if (!('rejected' in decoded) || decoded.rejected !== code) throw new Error(`${name}: ${why}: not refused as ${code}`)
    return { why, bytes: hexOf(bytes), count, maxAbs, refused: code }
  }
  const wave = (count: number) => Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898) * (i % 7)))
  const one = codec.encode(Float32Array.of(1, -2, 0.5))
  return {
    about: `Codec ${name}: values, as float32, in; bytes and what they decode to (as numbers, and as the bits of little-endian float32) out.`,
    cases: [
      encoded('no values', []),
      encoded('small values', [1, -2, 0.5, 0.1, -0.001]),
      encoded('zeros of both signs', [0, -0]),
      encoded('values of very different size', [1e-7, 1000, -0.25, 3e-5, 60000]),
      encoded('the smallest values there are', [2 ** -149, -(2 ** -149), 2 ** -24, 2 ** -25, 2 ** -26]),
      encoded('300 values: more than one block where there are blocks', wave(300)),
      refused('one byte short', one.subarray(0, -1), 3, 'wrong-length'),
      refused('one byte long', joined(one, Uint8Array.of(0)), 3, 'wrong-length'),
      refused('a value above the bound', one, 3, 'out-of-bounds', 1.5),
      ...specials(name, refused),
    ],
  }
}

type Refused = (why: string, bytes: Uint8Array, count: number, code: string) => { why: string }

function specials(name: string, refused: Refused): { why: string }[] {
  const le16 = (bits: number) => Uint8Array.of(bits & 255, bits >> 8)
  if (name === 'float32')
    return [
      refused('a NaN', Uint8Array.of(0, 0, 0xc0, 0x7f), 1, 'not-finite'),
      refused('an infinity', Uint8Array.of(0, 0, 0x80, 0xff), 1, 'not-finite'),
    ]
  if (name === 'float16') {
    const tooLarge = codecOf(name).encode(Float32Array.of(65_520))
    return [
      refused('a NaN', le16(0x7e00), 1, 'not-finite'),
      refused('an infinity', le16(0xfc00), 1, 'not-finite'),
      refused('what becomes of 65,520, which rounds to an infinity', tooLarge, 1, 'not-finite'),
    ]
  }
  const block = (scale: number, level: number) => joined(le16(scale), Uint8Array.of(level))
  return [
    refused('a scale that is NaN', block(0x7e00, 0), 1, 'not-finite'),
    refused('a scale that is infinite', block(0x7c00, 0), 1, 'not-finite'),
    refused('a scale below 0', block(0xbc00, 1), 1, 'not-finite'),
    refused('a scale of -0', block(0x8000, 0), 1, 'not-finite'),
    refused('a byte of -128: nobody encodes so', block(0x3c00, 0x80), 1, 'out-of-bounds'),
    refused('what becomes of a NaN', codecOf(name).encode(Float32Array.of(1, Number.NaN)), 2, 'not-finite'),
  ]
}

const frame = (body: Uint8Array): Uint8Array => {
  const prefix = new Uint8Array(4)
  new DataView(prefix.buffer).setUint32(0, body.length)
  return joined(prefix, body)
}

export const framing = (): VectorFile => ({
  about:
    'One request and its reply on a stream of its own, as bytes on the stream. `body` is the request, `response` what a handler that answers so gives; `refusal` the reason it gives instead. Every frame begins with its length in 4 bytes, big-endian; a reply begins with its status: 0 answered, 1 refused.',
  cases: [
    {
      why: 'an answer',
      body: hexOf(utf8('ping')),
      request: hexOf(frame(utf8('ping'))),
      response: hexOf(utf8('pong')),
      reply: hexOf(frame(joined(Uint8Array.of(0), utf8('pong')))),
    },
    {
      why: 'an empty request and an empty answer',
      body: '',
      request: hexOf(frame(new Uint8Array())),
      response: '',
      reply: hexOf(frame(Uint8Array.of(0))),
    },
    {
      why: 'a refusal carries its reason in UTF-8',
      body: hexOf(utf8('give')),
      request: hexOf(frame(utf8('give'))),
      refusal: 'this peer does not hold the payload',
      reply: hexOf(frame(joined(Uint8Array.of(1), utf8('this peer does not hold the payload')))),
    },
  ],
})
