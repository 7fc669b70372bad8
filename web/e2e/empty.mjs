/** A node without any data but its own: the first key, single samples, and data that lie elsewhere. */
import assert from 'node:assert/strict'
import { eventually, ink, pixelsOf } from './browser.mjs'
import { Node } from './node.mjs'

export const title = 'empty'
export const flags = []

const blue = '#2b8ffb'
const day = 86_400
const stamp = (secondsAgo) => new Date(Date.now() - secondsAgo * 1000).toISOString()

/** Canvas colours are blended at a dot's rim; its middle is pure. */
const dot = (page) => pixelsOf(page, '[aria-roledescription=chart]', blue)

export const tests = {
  async 'the first steps show the real addresses and can be copied'({ browser, node }) {
    const page = await browser.open(node.url)
    const [host, port] = node.redis.split(':')
    await page.getByText(`redis-cli -h ${host} -p ${port}`).waitFor()
    await page.getByText(`redis.Redis("${host}", ${port})`).waitFor()
    await page.getByText(`url: ${node.url}/api/v1/write`).waitFor()
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: node.url })
    await page.getByRole('button', { name: 'Copy the prometheus.yml lines' }).click()
    await page.getByText('Copied').waitFor()
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /remote_write:\n {2}- url: http/)
  },

  async 'copying works without the clipboard API'({ browser, node }) {
    const page = await browser.open(node.url)
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }))
    await page.getByRole('button', { name: 'Copy the redis-cli lines' }).click()
    await page.getByText('Copied').waitFor()
  },

  async 'the first key appears within a second, and its link shows a dot'({ browser, node }) {
    const page = await browser.open(node.url)
    await page.getByText('Waiting for a key').waitFor()
    await page.getByText('Live', { exact: true }).waitFor()
    await page.waitForTimeout(300)
    const key = 'metrics:training:proj-1:loss'
    await node.command('LPUSH', key, JSON.stringify({ step: 12, value: 0.53, timestamp: stamp(5) }))
    await page.locator('[data-keys]').getByText(key).waitFor({ timeout: 1_000 })
    const link = page.getByRole('link', { name: 'training_loss{project="proj-1",run="1"}' })
    await link.click()
    await page.waitForURL(/\/explore\?expr=training_loss/)
    const found = await eventually('a dot', async () => {
      const pixels = await dot(page)
      return pixels.count && pixels
    })
    assert.ok(found.count >= 12 && found.width <= 12, `a dot of ${found.count} pixels, ${found.width} wide`)
    await page.getByText('raw samples').waitFor()
  },

  async 'a pushed sample is on the open chart within two seconds'({ browser, node }) {
    const element = (step) => JSON.stringify({ step, value: step, timestamp: stamp(0) })
    await node.command('LPUSH', 'metrics:training:live:loss', element(1))
    const page = await browser.open(`${node.url}/explore?expr=training_loss{project="live"}&last=5m`)
    const points = page.getByRole('region', { name: 'Series' }).locator('tbody tr td:last-child')
    await points.waitFor()
    assert.equal(await points.innerText(), '1')
    await page.waitForTimeout(300)
    await node.command('LPUSH', 'metrics:training:live:loss', element(2))
    await eventually('two points', async () => (await points.innerText()) === '2', 2_000)
  },

  async 'every push of a list is a point'({ browser, node }) {
    const elements = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ step: i, value: i % 7, timestamp: stamp(200 - i * 0.25) }),
    )
    await node.command('RPUSH', 'metrics:training:dense:loss', ...elements)
    const page = await browser.open(`${node.url}/explore?expr=training_loss{project="dense"}&last=1h`)
    const points = page.getByRole('region', { name: 'Series' }).locator('tbody tr td:last-child')
    await eventually('forty points', async () => (await points.innerText()) === '40')
  },

  async 'data outside the range are found and offered'({ browser, node }) {
    const at = stamp(3 * day)
    await node.command(
      'LPUSH',
      'metrics:training:old:loss',
      JSON.stringify({ step: 1, value: 2, timestamp: at }),
    )
    const page = await browser.open(`${node.url}/explore?expr=training_loss{project="old"}&last=5m`)
    const notice = page.locator('[data-outside]')
    await notice.waitFor()
    assert.match(await notice.innerText(), /No samples in this range\. The newest .* 3 d ago/)
    await notice.getByRole('button', { name: 'Show the newest' }).click()
    await page.waitForURL(/from=.*to=/)
    await eventually('a dot', async () => (await dot(page)).count)
    const query = new URL(page.url()).searchParams
    const [from, to] = [Number(query.get('from')), Number(query.get('to'))]
    assert.ok(from < Date.parse(at) / 1000 && Date.parse(at) / 1000 < to, 'the sample lies in the window')
    assert.ok(to - from < 400, 'the window is as long as the one before')
  },

  async 'an unknown name is answered with a close one'({ browser, node }) {
    await node.command('LPUSH', 'metrics:training:p:wer', JSON.stringify({ step: 1, value: 2 }))
    const page = await browser.open(`${node.url}/explore?expr=trainig_wer&last=5m`)
    await page.getByRole('link', { name: 'training_wer' }).click()
    await eventually('ink', async () => (await ink(page, '[aria-roledescription=chart]')) > 3)
  },

  async 'a page outlives its node'({ browser, node }) {
    const own = await Node.start()
    try {
      const page = await browser.open(own.url)
      page.allow = /ERR_CONNECTION|WebSocket|Failed to load resource/
      await page.getByText('Live', { exact: true }).waitFor()
      await own.stop()
      await page.getByText('Reconnecting', { exact: true }).waitFor()
      const again = await Node.start([], own.dir, new URL(own.url).host)
      own.process = again.process
      await page.getByText('Live', { exact: true }).waitFor()
      assert.notEqual(node.url, own.url)
    } finally {
      await own.remove()
    }
  },
}
