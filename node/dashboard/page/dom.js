// The page's elements: found, made, and tables that touch only the cells that have changed.

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id))

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, string>} [attributes] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Tells whether an element is to be seen: what is not need not be drawn. @param {Element} element @param {() => void} onShown @returns {() => boolean} */
export function watchSight(element, onShown) {
  let isSeen = true
  new IntersectionObserver((entries) => {
    const was = isSeen
    isSeen = entries.some(({ isIntersecting }) => isIntersecting)
    if (isSeen && !was) onShown()
  }).observe(element)
  return () => isSeen
}

/** Writing the same text again would lose a selection, and cost layout. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** @param {Element} element @param {string} name @param {string | undefined} value */
export function mark(element, name, value) {
  if (value === undefined) element.removeAttribute(name)
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

/**
 * A cell: text, its tone, and, where it is a share, a bar before it.
 * @typedef {{ text: string, tone?: string | undefined, bar?: number | undefined, side?: string, title?: string }} Cell
 * @typedef {{ name: string, number?: boolean, id?: boolean, spare?: boolean }} Column
 */

/**
 * @param {HTMLElement} parent @param {string} caption @param {readonly Column[]} columns
 * @param {{ empty: string, onChoose?: (key: string) => void }} options what to say where there are no rows; what a row's button does
 * @returns {(rows: readonly { key: string, cells: readonly Cell[], chosen?: boolean }[]) => void}
 */
export function table(parent, caption, columns, { empty, onChoose }) {
  const classOf = (/** @type {Column} */ column) =>
    [column.number ? 'number' : '', column.id ? 'id' : '', column.spare ? 'spare' : ''].join(' ').trim()
  const head = make('tr', {}, ...columns.map((column) => make('th', { scope: 'col', class: classOf(column) }, column.name)))
  const body = make('tbody')
  const whole = make('table', {}, make('caption', { class: 'hidden' }, caption), make('thead', {}, head), body)
  const nothing = make('p', { class: 'muted' }, empty)
  parent.append(whole, nothing)
  /** @type {Map<string, { row: HTMLTableRowElement, cells: HTMLElement[] }>} */
  const known = new Map()

  /** @param {string} key */
  function newRow(key) {
    const cells = columns.map((column, i) => {
      const cell = make('td', { class: classOf(column) })
      if (i > 0 || onChoose === undefined) return { cell, inner: /** @type {HTMLElement} */ (cell) }
      const button = make('button', { type: 'button', class: 'row' })
      button.addEventListener('click', () => onChoose(key))
      cell.append(button)
      return { cell, inner: button }
    })
    return { row: make('tr', {}, ...cells.map(({ cell }) => cell)), cells: cells.map(({ inner }) => inner) }
  }

  return (rows) => {
    whole.hidden = rows.length === 0
    nothing.hidden = rows.length > 0
    const keys = new Set(rows.map(({ key }) => key))
    for (const [key, { row }] of known) {
      if (keys.has(key)) continue
      row.remove()
      known.delete(key)
    }
    /** @type {Element | null} */
    let next = body.firstElementChild
    for (const { key, cells, chosen } of rows) {
      const entry = known.get(key) ?? newRow(key)
      known.set(key, entry)
      if (entry.row === next) next = next.nextElementSibling
      else body.insertBefore(entry.row, next)
      mark(entry.row, 'data-chosen', chosen ? 'yes' : undefined)
      cells.forEach((cell, i) => void fill(entry.cells[i], cell))
    }
  }
}

/** @param {HTMLElement} element @param {Cell} cell */
function fill(element, { text, tone, bar, side, title }) {
  mark(element, 'data-tone', tone)
  mark(element, 'title', title)
  if (bar === undefined) return write(element, text)
  let [meter, label] = /** @type {HTMLElement[]} */ ([...element.children])
  if (meter === undefined || label === undefined) {
    meter = make('meter', { min: '0', max: '1', 'aria-hidden': 'true', ...(side && { 'data-side': side }) })
    label = make('span')
    element.replaceChildren(meter, ' ', label)
  }
  mark(meter, 'value', bar.toFixed(3))
  write(label, text)
}

/** @param {HTMLElement} list @param {readonly (readonly [string, string])[]} pairs */
export function definitions(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, value]) => [make('dt', {}, term), make('dd', {}, value)]))
}
