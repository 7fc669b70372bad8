/** What holds on every page, in both themes and on a phone: nobody is shut out, nothing overflows. */
import assert from 'node:assert/strict'
import { violations } from './browser.mjs'

export const title = 'quality'
export const flags = ['--demo']
export { ready } from './demo.mjs'

const looks = {
  dark: { scheme: 'dark' },
  light: { scheme: 'light' },
  'a phone': { scheme: 'light', width: 390, height: 844 },
}

const pages = {
  'the Overview': { path: '/', ready: (page) => page.getByRole('heading', { name: 'This node', level: 2 }) },
  Explore: {
    path: '/explore?expr=training_loss&last=6h',
    ready: (page) => page.getByRole('region', { name: 'Series' }),
  },
  'the table': {
    path: '/explore?expr=training_loss&last=6h&view=table',
    ready: (page) => page.getByRole('region', { name: 'Result' }),
  },
  'the metrics': {
    path: '/explore',
    ready: (page) => page.getByRole('link', { name: 'training_loss', exact: true }),
  },
  'an error': {
    path: '/explore?expr=sum(',
    ready: (page) => page.getByRole('alert'),
    allow: /status of 400/,
  },
  'a lost address': { path: '/nowhere', ready: (page) => page.getByText('No such page') },
}

export const tests = Object.fromEntries(
  Object.entries(looks).flatMap(([look, options]) =>
    Object.entries(pages).map(([name, { path, ready: shown, allow }]) => [
      `${name} in ${look} shuts nobody out and does not overflow`,
      async ({ browser, node }) => {
        const page = await browser.open(node.url + path, { ...options, allow })
        await shown(page).first().waitFor()
        if (name === 'the Overview') await page.locator('canvas').nth(6).waitFor()
        await page.waitForTimeout(300)
        assert.deepEqual(await violations(page), [])
        const wide = await page.evaluate(() => document.documentElement.scrollWidth)
        assert.ok(wide <= (options.width ?? 1400), `the page is ${wide} px wide`)
      },
    ]),
  ),
)

tests['the dialogs shut nobody out'] = async ({ browser, node }) => {
  const page = await browser.open(node.url)
  await page.getByRole('heading', { name: 'This node', level: 2 }).waitFor()
  await page.keyboard.press('Control+k')
  await page.getByRole('option').nth(4).waitFor()
  assert.deepEqual(await violations(page), [])
  await page.keyboard.press('Escape')
  await page.getByRole('option').first().waitFor({ state: 'hidden' })
  await page.keyboard.press('?')
  await page.getByRole('heading', { name: 'Keys' }).waitFor()
  assert.deepEqual(await violations(page), [])
}

tests['the time range form shuts nobody out'] = async ({ browser, node }) => {
  const page = await browser.open(`${node.url}/explore?expr=training_loss&last=6h`, looks['a phone'])
  await page.getByRole('button', { name: /Last 6 hours/ }).click()
  await page.getByLabel('From').fill('2026-01-02T03:04:05')
  assert.deepEqual(await violations(page), [])
  await page.getByLabel('To').fill('2026-01-01T00:00:00')
  await page.getByText('The end must lie after the start.').waitFor()
  await page.getByLabel('To').fill('2026-01-02T04:04:05')
  await page.getByRole('button', { name: 'Show', exact: true }).click()
  await page.waitForURL(/from=1767323045&to=1767326645/)
}
