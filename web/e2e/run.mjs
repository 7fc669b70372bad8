/**
 * The pages in a real browser against the real binary: `node e2e/run.mjs [name]`.
 *
 * RINGWELL_BIN names the binary (default: target/debug/ringwell, built with web/dist embedded), CHROMIUM the browser.
 * RINGWELL_SHOTS names a folder for a screenshot of every failed test's pages.
 */
import { Browser } from './browser.mjs'
import * as demo from './demo.mjs'
import * as empty from './empty.mjs'
import * as quality from './quality.mjs'
import { Node } from './node.mjs'

const wanted = process.argv[2] ?? ''
let [passed, failed] = [0, 0]

async function run(world, name, test) {
  if (!name.includes(wanted)) return
  const start = performance.now()
  try {
    await test(world)
    for (const page of world.browser.context.pages())
      if (page.sins?.length) throw new Error([...new Set(page.sins)].join('\n'))
    passed += 1
    console.log(`ok     ${name} (${Math.round(performance.now() - start)} ms)`)
  } catch (error) {
    failed += 1
    console.log(`FAILED ${name}\n       ${String(error.stack ?? error).replaceAll('\n', '\n       ')}`)
    await shoot(world, name)
  }
  for (const page of world.browser.context.pages().slice(1)) await page.close()
}

async function shoot({ browser }, name) {
  if (!process.env.RINGWELL_SHOTS) return
  const pages = browser.context.pages().slice(1)
  for (const [i, page] of pages.entries())
    await page
      .screenshot({ path: `${process.env.RINGWELL_SHOTS}/${name.replaceAll(/\W+/g, '-')}-${i}.png` })
      .catch(() => undefined)
}

const browser = await Browser.launch()
try {
  for (const { title, flags, ready, tests } of [demo, empty, quality]) {
    const node = await Node.start(flags)
    try {
      await ready?.(node)
      for (const [name, test] of Object.entries(tests))
        await run({ browser, node }, `${title}: ${name}`, test)
    } finally {
      await node.remove()
    }
  }
} finally {
  await browser.close()
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed || !passed ? 1 : 0)
