// Any code point as a unit of fast-check's strings: its own unit 'binary' first lays a table of all million of them, which takes seconds.
import fc from 'fast-check'

export const anyCodePoint = fc
  .integer({ min: 0, max: 0x10ffff })
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map(
    (code) => String.fromCodePoint(code),
    (text) => {
      if (typeof text !== 'string' || [...text].length !== 1) throw new Error('No single character')
      return text.codePointAt(0)!
    },
  )
