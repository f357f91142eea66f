// HTML and SVG as text in which everything that is filled in is escaped, and the page that the lab's pictures stand on.

export interface Markup {
  readonly markup: string
}

type Filling = string | number | Markup | readonly Markup[]

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)

const filled = (value: Filling): string =>
  typeof value !== 'object' ? escaped(String(value)) : 'markup' in value ? value.markup : value.map(({ markup }) => markup).join('')

/** A template whose values are escaped unless they are markup already. */
export const html = (parts: TemplateStringsArray, ...values: Filling[]): Markup => ({
  markup: parts.map((part, i) => part + (i < values.length ? filled(values[i]!) : '')).join(''),
})

/** Works in the light and in the dark, on a phone, and with nothing to load. */
const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #e6e9ef); --faint: light-dark(#667085, #98a2b3);
  --line: light-dark(#d8dde6, #333b48); --paper: light-dark(#fff, #12161d); --card: light-dark(#f7f8fa, #1a2029);
  --a: light-dark(#1f6feb, #6ea8ff); --b: light-dark(#c4432b, #ff8f73); --c: light-dark(#1a7f4b, #5fd39a); }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
h1 { font-size: 1.3rem } h2 { font-size: 1rem; margin: 0 0 .3rem }
h1, p, dd, td, th, code { overflow-wrap: anywhere }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif }
svg text { fill: var(--faint) } .grid { stroke: var(--line) }
.a { color: var(--a) } .b { color: var(--b) } .c { color: var(--c) }
.key { margin: 0; font-size: .85rem } .key span { margin-right: 1em } .key span::before { content: "\\25CF\\00A0"; }
dl { display: grid; gap: .1rem 1rem; grid-template-columns: max-content 1fr; margin: 1rem 0 } dt { color: var(--faint) } dd { margin: 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
td, th { padding: .25rem .5rem; border: 1px solid var(--line); text-align: right; white-space: nowrap } th:first-child { text-align: left }
td { background: color-mix(in oklab, var(--c) calc(var(--share, 0) * 55%), transparent) } .best { font-weight: 700 }
.note { color: var(--faint); font-size: .85rem }`

export function page(title: string, body: Markup): string {
  const head = html`<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>`
  return `<!doctype html>\n<html lang="en"><head>${head.markup}<style>${STYLE}\n</style></head>\n<body>${html`<h1>${title}</h1>\n${body}`.markup}</body></html>\n`
}

/** Names and what they stand for. */
export const definitions = (entries: readonly (readonly [string, string])[]): Markup =>
  html`<dl>${entries.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>\n`
