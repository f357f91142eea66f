// Command-line flags from the options schema.
import { Option } from 'commander'
import type { z } from 'zod'
import { kebab, type OptionMeta, type Options } from '../options.ts'

/** A command-line flag for each key of a schema. Defaults are shown, but applied by the schema: a flag that is not given stays absent. */
export function flagsOf(schema: Options, heading: string): Option[] {
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => {
    const { description, value } = field.meta() as unknown as OptionMeta
    const fallback = field.safeParse(undefined)
    const shown =
      fallback.success && fallback.data !== undefined && value !== undefined ? ` (default: ${[fallback.data].flat().join(',')})` : ''
    // A switch that is on is turned off.
    const no = value === undefined && fallback.success && fallback.data === true ? 'no-' : ''
    return new Option(`--${no}${kebab(name)}${value === undefined ? '' : ` <${value}>`}`, description + shown).helpGroup(heading)
  })
}
