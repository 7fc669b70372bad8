/**
 * Fails when the built UI has grown above its budget: what a first visit loads, any chunk that is loaded later, all of
 * the scripts, and the fonts. Sizes are gzip's, as they travel; fonts are compressed already.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const assets = new URL('../dist/assets/', import.meta.url).pathname
const names = readdirSync(assets)
const scripts = names.filter((name) => name.endsWith('.js'))
const sources = new Map(scripts.map((name) => [name, readFileSync(join(assets, name))]))
const size = (name) => gzipSync(sources.get(name), { level: 9 }).length

/** The chunk and everything it imports statically. */
function closure(name, seen = new Set()) {
  if (seen.has(name)) return seen
  seen.add(name)
  const text = sources.get(name).toString()
  for (const [, imported] of text.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g))
    closure(imported, seen)
  return seen
}

const page = readFileSync(new URL('../dist/index.html', import.meta.url), 'utf8')
const entry = /src="\/assets\/([^"]+\.js)"/.exec(page)?.[1]
const overview = scripts.find((name) => name.startsWith('Overview-'))
if (!entry || !overview) throw new Error('dist has no entry or no Overview chunk: run `npm run build`')

const first = new Set([...closure(entry), ...closure(overview)])
const sum = (list) => [...list].reduce((total, name) => total + size(name), 0)
const fonts = names.filter((name) => name.endsWith('.woff2'))
const fontBytes = fonts.reduce((total, name) => total + readFileSync(join(assets, name)).length, 0)
const largest = Math.max(...scripts.filter((name) => !first.has(name)).map(size))

const checks = [
  ['first route, scripts', sum(first), 90],
  ['largest later chunk', largest, 160],
  ['all scripts', sum(scripts), 350],
  ['fonts', fontBytes, 90],
]
let over = 0
for (const [what, bytes, budget] of checks) {
  const bad = bytes > budget * 1000
  over += bad
  console.log(`${bad ? 'OVER ' : 'ok   '} ${what}: ${(bytes / 1000).toFixed(1)} of ${budget} kB`)
}
process.exit(over ? 1 : 0)
