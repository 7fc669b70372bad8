/** A real Chromium, and what every page must never do: log an error, or ask another origin for anything. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export class Browser {
  static async launch() {
    const browser = new Browser()
    browser.profile = mkdtempSync(join(tmpdir(), 'ringwell-chromium-'))
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: flags,
      viewport: { width: 1400, height: 900 },
      colorScheme: 'dark',
      // The pages speak the reader's locale; the tests read them in this one.
      locale: 'en-GB',
      timezoneId: 'UTC',
      reducedMotion: 'reduce',
    })
    return browser
  }

  async close() {
    await this.context.close()
    rmSync(this.profile, { recursive: true, force: true })
  }

  /** A page that gathers what must not happen in `page.sins`; `page.allow` names what a test provokes on purpose. */
  async open(url, { width = 1400, height = 900, scheme = 'dark', allow } = {}) {
    const page = await this.context.newPage()
    page.setDefaultTimeout(15_000)
    await page.setViewportSize({ width, height })
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
    page.sins = []
    page.allow = allow
    page.sockets = 0
    const sin = (text) => {
      if (!page.allow?.test(text)) page.sins.push(text)
    }
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) sin(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => sin(`uncaught: ${error.message}`))
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url())
      if (origin !== new URL(url).origin && protocol !== 'data:') sin(`off-origin: ${request.url()}`)
    })
    page.on('websocket', () => (page.sockets += 1))
    await page.goto(url)
    return page
  }
}

/** How many colours the canvas shows: an empty one has one, an axis alone a handful. */
export async function ink(page, selector) {
  return page
    .locator(`${selector} canvas`)
    .first()
    .evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      const pixels = new Uint32Array(data.buffer)
      return new Set(pixels).size
    })
}

/** Pixels of the canvas that have this colour, given as #rrggbb. */
export async function pixelsOf(page, selector, hex) {
  return page
    .locator(`${selector} canvas`)
    .first()
    .evaluate((canvas, color) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16))
      let [count, left, right] = [0, Infinity, -Infinity]
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] !== r || data[i + 1] !== g || data[i + 2] !== b || data[i + 3] < 200) continue
        const x = (i / 4) % canvas.width
        count += 1
        left = Math.min(left, x)
        right = Math.max(right, x)
      }
      return { count, width: count ? right - left + 1 : 0 }
    }, hex)
}

/** Violations of WCAG 2 A and AA, as `rule: element` lines. */
export async function violations(page) {
  // By evaluation and not by a script tag, which the page's own security policy would refuse.
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const run = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
    })
    return run.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`),
    )
  })
}

export async function eventually(what, check, milliseconds = 5_000) {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
