// The page in a real browser: over a network of three processes, and over as much as it is made for. Skipped where no Chromium is found.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { loadModel } from '../../models/index.ts'
import { dashboard, member, peerName, roundEvents } from '../dashboard/stand-in.ts'
import { network } from '../helpers/processes.ts'

t.setTimeout(300_000)

const executablePath = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
)
const skip = executablePath === undefined && 'no Chromium is found: install it, or name one in CHROMIUM'
const args = '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'.split(' ')
const PEERS = 200
const ROUNDS = 5000

let browser: Browser
t.before(async () => {
  if (!skip)
    browser = await chromium.launch({ executablePath: executablePath!, args: [...args, '--disable-component-update', '--disable-sync'] })
})
t.teardown(() => browser?.close())

/** A page that fails the test where it logs an error or asks anyone but the peer. */
async function open(t: Test, link: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options })
  t.teardown(() => context.close())
  const page = await context.newPage()
  const { origin } = new URL(link)
  page.on('pageerror', (error) => void t.fail(`the page failed: ${error.message}`))
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('blob:')) t.fail(`it asked ${request.url()}`)
  })
  page.on('console', (message) => {
    if (/Content Security Policy|Uncaught/.test(message.text())) t.fail(message.text())
  })
  await page.goto(link)
  return page
}

/** The page's policy forbids what the browser driver would wait with, which is code from text: looks once a frame, from here. */
async function until(page: Page, condition: string, millis = 60_000): Promise<void> {
  const deadline = performance.now() + millis
  while (!(await page.evaluate(condition))) {
    if (performance.now() > deadline) throw new Error(`not within ${millis} ms: ${condition}`)
    await page.evaluate('new Promise(requestAnimationFrame)')
  }
}

const live = (page: Page) => page.waitForSelector('#link-state[data-state=live]')

t.test(
  'it shows a network of three processes, by mouse, keyboard, on a phone, in the dark, and takes the model home',
  { skip },
  async (t) => {
    const founding = ['--target-accuracy', '0.999']
    const { processes } = await network(t, 3, 100_000, (i) => (i === 1 ? founding : []))
    const founder = processes[0]!
    const { dashboard: link = '', peer } = await founder.event('ready')
    t.match(link, /^http:\/\/127\.0\.0\.1:\d+\/#[\w-]{22}$/)
    await founder.event('aggregated', ({ round }) => round >= 3)
    const page = await open(t, link)
    await live(page)
    t.equal(new URL(page.url()).hash, '', 'the token does not stay in the address')
    t.match(await page.textContent('#peer'), peer.slice(-8))
    await until(page, `/^Round [\\d,]+: /.test(document.querySelector('#sentence').textContent)`)
    await until(page, `/\\d %/.test(document.querySelector('#tiles').textContent)`)
    t.equal(await page.locator('#peers tbody tr').count(), 2)
    t.equal(await page.locator('#round-inputs tbody tr').count(), 3)
    t.equal(await page.locator('.uplot canvas').count(), 4, 'all curves are there')
    await until(page, `document.querySelector('#traffic').textContent.includes('gossip')`)
    t.match(await page.textContent('#model'), /softmax/)
    t.match(await page.textContent('#data'), /MNIST/)

    // By keyboard: a round on a curve, then a peer of the graph.
    const curve = page.locator('#loss [tabindex="0"]')
    await curve.focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#round-newest[aria-pressed=false]')
    t.equal(await page.inputValue('#round-number'), '1', 'the first round')
    await until(page, `document.querySelector('#round-summary').textContent.includes('accepted')`)
    await until(page, `document.querySelectorAll('#round-inputs tbody tr').length === 3`)
    t.match(await curve.getAttribute('aria-label'), /Over \d+ rounds: validation \d/)
    await page.click('#round-newest')
    await page.waitForSelector('#round-newest[aria-pressed=true]')
    await page.locator('#graph canvas').focus()
    await page.keyboard.press('ArrowRight')
    await until(page, `/weight was|connected/.test(document.querySelector('#graph p').textContent)`)
    t.equal(await page.locator('#peers tr[data-chosen=yes]').count(), 1, 'the table follows the graph')
    await page.fill('#peers-filter', 'no such peer')
    await until(page, `document.querySelectorAll('#peers tbody tr').length === 0`)

    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')])
    const model = loadModel(await readFile(await download.path()))
    t.ok(model, 'what is exported is a model')

    await page.reload()
    await live(page)
    t.pass('a reload needs no link')
    const phone = await open(t, link, {
      viewport: { width: 360, height: 740 },
      isMobile: true,
      hasTouch: true,
      colorScheme: 'dark',
      reducedMotion: 'reduce',
    })
    await live(phone)
    await until(phone, `document.querySelectorAll('.uplot canvas').length === 4`)
    t.ok(await phone.evaluate('document.documentElement.scrollWidth <= innerWidth'), 'nothing sticks out on a phone')
    t.equal(await phone.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(13, 18, 23)')
    t.equal(
      await phone.evaluate(`getComputedStyle(document.querySelector('.pill')).transitionDuration`),
      '0s',
      'nothing moves where that is not wanted',
    )

    const stranger = await open(t, link.replace(/#.*/, '#AAAAAAAAAAAAAAAAAAAAAA'))
    await stranger.waitForSelector('#link-state[data-state=refused]')
    t.match(await stranger.textContent('#notice'), /murmur status/)
    founder.child.kill('SIGKILL')
    await page.waitForSelector('#link-state[data-state=lost]')
    t.pass('it says so where the peer is gone')
  },
)

t.test(`it keeps up with ${PEERS} peers and ${ROUNDS} rounds`, { skip }, async (t) => {
  const { link, note, show, shown, members } = await dashboard(t)
  members.splice(0, members.length, ...Array.from({ length: PEERS }, (_, i) => member(peerName(i))))
  show(shown)
  const page = await open(t, link!)
  await live(page)
  await page.evaluate(
    `new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) (window.long ??= []).push(duration) }).observe({ type: 'longtask' })`,
  )
  const began = performance.now()
  for (let round = 1; round <= ROUNDS; round++) {
    for (const event of roundEvents(round, PEERS)) note(event)
    // Ten rounds, then a turn for the server: some hundred rounds a second.
    if (round % 10 === 0) {
      note({ type: 'traffic', received: round, sent: round })
      await new Promise((done) => setImmediate(done))
    }
  }
  await until(page, `document.querySelector('#round-number').value === '${ROUNDS}'`, 120_000)
  const fed = performance.now() - began
  t.equal(await page.locator('#peers tbody tr').count(), PEERS)
  t.equal(await page.locator('#round-inputs tbody tr').count(), PEERS + 1)
  const long = ((await page.evaluate('window.long ?? []')) as number[]).sort((a, b) => b - a)

  const again = performance.now()
  await page.reload()
  await until(
    page,
    `document.querySelector('#round-number').value === '${ROUNDS}' && document.querySelectorAll('.uplot canvas').length === 4`,
  )
  const loaded = performance.now() - again
  await page.evaluate(
    'window.long = []; new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.long.push(duration) }).observe({ type: "longtask" })',
  )
  for (let i = 1; i <= 20; i++) {
    for (const event of roundEvents(ROUNDS + i, PEERS)) note(event)
    await until(page, `document.querySelector('#round-number').value === '${ROUNDS + i}'`)
  }
  const steady = ((await page.evaluate('window.long')) as number[]).sort((a, b) => b - a)
  const heap = (await page.evaluate('performance.memory.usedJSHeapSize')) as number
  const millis = (list: number[]) => `${list.length} long tasks, the longest ${Math.round(list[0] ?? 0)} ms`
  t.comment(`${ROUNDS} rounds of ${PEERS} peers fed in ${Math.round(fed)} ms: ${millis(long)}`)
  t.comment(`opened anew in ${Math.round(loaded)} ms; then 20 more rounds one by one: ${millis(steady)}; heap ${Math.round(heap / 1e6)} MB`)
  t.equal(await page.evaluate(`document.querySelectorAll('b').length`), 0, 'text of others is never markup')
})
