/** A node with its demo fleet: what a newcomer sees after `make run`. */
import assert from 'node:assert/strict'
import { eventually, ink } from './browser.mjs'

export const title = 'demo'
export const flags = ['--demo']

/** The history is pushed first; the host's rates need two collections. */
export async function ready(node) {
  await node.until('training_loss{project=~"demo-.*"} and count_over_time(training_loss[6h]) > 100', 120)
  await node.until('rate(node_cpu_seconds_total{job="node"}[1m])')
}

const section = (page, heading) =>
  page.locator('section', { has: page.getByRole('heading', { name: heading, level: 2, exact: true }) })

export const tests = {
  async 'the Overview shows runs, agents, GPUs, the host and the node'({ browser, node }) {
    const page = await browser.open(node.url)
    await page.getByText('Demo fleet (simulated)').waitFor()
    for (const heading of ['Training runs', 'Agents', 'GPUs', 'Host', 'This node'])
      await section(page, heading).waitFor()
    const runs = section(page, 'Training runs').getByRole('row')
    assert.ok((await runs.count()) >= 4, 'a head and three runs')
    const agents = await section(page, 'Agents').getByRole('row').allInnerTexts()
    assert.equal(agents.filter((row) => row.includes('demo-')).length, 8)
    assert.match(agents[1], /× median/, 'the slow agent stands on top')
    await section(page, 'GPUs').getByText('hot').first().waitFor()
    assert.match(await section(page, 'Host').innerText(), /CPU and memory[\s\S]*\d %[\s\S]*Disks/)
    const info = await (await fetch(`${node.url}/api/v1/node`)).json()
    assert.match(await section(page, 'This node').innerText(), new RegExp(info.data.redis))
    await eventually('one socket', () => page.sockets === 1)
  },

  async 'every chart of the Overview has ink'({ browser, node }) {
    const page = await browser.open(node.url)
    await section(page, 'This node').waitFor()
    await eventually('many canvases', async () => (await page.locator('canvas').count()) >= 7)
    for (const heading of ['Loss', 'Task duration', 'Temperature', 'CPU and memory', 'Load']) {
      const panel = `[aria-roledescription=chart][aria-label^="${heading}:"]`
      await eventually(`${heading} has ink`, async () => (await ink(page, panel)) > 20)
    }
  },

  async 'the sentence names what needs a look'({ browser, node }) {
    const page = await browser.open(node.url)
    const sentence = page.locator('[data-sentence]')
    await eventually('all three', async () => {
      const text = await sentence.innerText()
      return /diverges/.test(text) && /runs hot/.test(text) && /× the median/.test(text)
    })
    await sentence.getByRole('link').first().click()
    await page.waitForURL(/\/explore\?expr=/)
  },

  async 'numbers change within two seconds, without a reload'({ browser, node }) {
    const page = await browser.open(node.url)
    // The page's own clock moves in `This node`; only what the fleet pushed counts here.
    const fleet = async () => {
      const parts = ['Training runs', 'Agents', 'GPUs'].map((heading) => section(page, heading).innerText())
      return (await Promise.all(parts)).join()
    }
    await page.getByText('Live', { exact: true }).waitFor()
    await page.waitForTimeout(1_000)
    const before = await fleet()
    await eventually('another number', async () => (await fleet()) !== before, 2_000)
  },

  async 'Explore draws training_loss over six hours'({ browser, node }) {
    const page = await browser.open(`${node.url}/explore?expr=training_loss&last=6h`)
    await eventually('ink', async () => (await ink(page, '[aria-roledescription=chart]')) > 20)
    const rows = await page.getByRole('region', { name: 'Series' }).getByRole('row').allInnerTexts()
    assert.equal(rows.filter((row) => row.includes('demo-')).length, 3)
    const first = await node.query('min(min_over_time(timestamp(training_loss)[6h:5m]))')
    assert.ok(Date.now() / 1000 - Number(first[0].value[1]) > 5 * 3600, 'the fleet has six hours of history')
  },

  async 'a range can be selected, and the back button undoes it'({ browser, node }) {
    const page = await browser.open(`${node.url}/explore?expr=training_loss&last=6h`)
    const chart = page.locator('[aria-roledescription=chart] .u-over')
    await chart.waitFor()
    const box = await chart.boundingBox()
    await page.mouse.move(box.x + box.width * 0.3, box.y + 100)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.6, box.y + 100, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/from=\d+.*to=\d+/)
    const query = new URL(page.url()).searchParams
    const seconds = Number(query.get('to')) - Number(query.get('from'))
    assert.ok(Math.abs(seconds - 0.3 * 21_600) < 400, `${seconds} s selected`)
    await page.goBack()
    await page.waitForURL(/last=6h/)
    await page.getByRole('button', { name: /Last 6 hours/ }).click()
    await page.getByRole('button', { name: 'Last 15 minutes' }).click()
    await page.waitForURL(/last=15m/)
  },

  async 'the editor completes from the node, runs by key and points at errors'({ browser, node }) {
    const page = await browser.open(`${node.url}/explore`)
    page.allow = /status of 400/
    const editor = page.locator('.cm-content')
    await editor.click()
    await page.keyboard.type('sum by (project) (training_lo')
    await page.locator('.cm-tooltip-autocomplete').getByText('training_loss', { exact: true }).waitFor()
    await page.waitForTimeout(150)
    await page.keyboard.press('Enter')
    await page.keyboard.press('End')
    const text = () => editor.innerText()
    await eventually('the completion', async () => /training_loss/.test(await text()))
    await page.keyboard.press('Control+Enter')
    await page.waitForURL(/expr=sum/)
    await eventually('ink', async () => (await ink(page, '[aria-roledescription=chart]')) > 20)
    await page.keyboard.press('End')
    await page.keyboard.type(' +')
    await page.keyboard.press('Control+Enter')
    const alert = page.getByRole('alert')
    await alert.waitFor()
    assert.match(await alert.innerText(), /parse error/)
    assert.equal(await alert.locator('mark').count(), 1)
  },

  async 'the table shows the values at the end of the range'({ browser, node }) {
    const page = await browser.open(`${node.url}/explore?expr=training_loss&last=1h`)
    await page.getByRole('radio', { name: 'Table' }).check()
    await page.waitForURL(/view=table/)
    const rows = page.getByRole('region', { name: 'Result' }).getByRole('row')
    await eventually('three rows and a head', async () => (await rows.count()) === 4)
  },

  async 'everything can be reached by key'({ browser, node }) {
    const page = await browser.open(node.url)
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content')
    await page.keyboard.press('?')
    await page.getByRole('heading', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('heading', { name: 'Keys' }).waitFor({ state: 'detached' })
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox').waitFor()
    await page.keyboard.type('training loss')
    await page.getByRole('option', { name: 'training_loss metric' }).waitFor()
    await page.keyboard.press('Enter')
    await page.waitForURL(/expr=training_loss/)
    await page.locator('.cm-content').waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('o')
    await page.waitForURL(`${node.url}/`)
    const theme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)
    const before = await theme()
    await page.keyboard.press('t')
    await eventually('the other theme', async () => (await theme()) !== before)
    await page.keyboard.press('t')
    await page.evaluate(() => localStorage.clear())
  },

  async 'a chart can be read by key'({ browser, node }) {
    const page = await browser.open(`${node.url}/explore?expr=training_loss&last=6h`)
    const chart = page.locator('[aria-roledescription=chart]')
    await chart.locator('.u-over').waitFor()
    await chart.focus()
    await page.keyboard.press('Shift+ArrowLeft')
    const said = chart.locator('[aria-live]')
    await eventually('three values', async () => (await said.innerText()).match(/demo-/g)?.length === 3)
    const before = await said.innerText()
    await page.keyboard.press('Shift+ArrowLeft')
    await eventually('other values', async () => (await said.innerText()) !== before)
  },

  async 'Stop ends the demo; its data stay and the first steps appear'({ browser, node }) {
    const page = await browser.open(node.url)
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText('Demo fleet (simulated)').waitFor({ state: 'detached' })
    await section(page, 'Your data').waitFor()
    await section(page, 'Training runs').waitFor()
    const count = async () => (await node.query('sum(count_over_time(training_loss[7h]))'))[0].value[1]
    await page.waitForTimeout(2_500)
    const [before] = [await count()]
    await page.waitForTimeout(2_500)
    assert.equal(await count(), before, 'no more pushes')
  },
}
