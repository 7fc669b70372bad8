/**
 * The little of PromQL that the pages must understand by themselves: which vector selectors an expression holds, and
 * whether it is nothing but one. Everything else about the language is the node's business.
 *
 * A wrong guess costs a useless probe, never a wrong chart.
 */
interface Token {
  kind: 'word' | 'braces' | 'brackets' | 'other'
  text: string
  start: number
  end: number
}

const notMetrics = new Set(
  (
    'by without on ignoring group_left group_right and or unless atan2 offset bool inf nan start end fill fill_left ' +
    'fill_right'
  ).split(' '),
)
const takesLabelList = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])

/** Every vector selector of the expression, without range, offset and `@`, each once. */
export function selectors(expression: string): string[] {
  const tokens = tokenize(expression)
  const found: string[] = []
  for (let i = 0; i < tokens.length; i += 1) {
    const token = tokens[i]!
    const next = tokens[i + 1]
    if (token.kind === 'braces') found.push(token.text)
    if (token.kind !== 'word') continue
    const word = token.text.toLowerCase()
    if (takesLabelList.has(word) && next?.text === '(') {
      while (i < tokens.length && tokens[i]!.text !== ')') i += 1
      continue
    }
    if (next?.kind === 'braces') {
      found.push(token.text + next.text)
      i += 1
    } else if (next?.text !== '(' && !notMetrics.has(word) && !isFunctionOrOperator(word, next)) {
      found.push(token.text)
    }
  }
  return [...new Set(found)]
}

/** `sum by (a) (x)`: the word before `by` is an operator, not a metric. */
function isFunctionOrOperator(word: string, next: Token | undefined): boolean {
  return next?.kind === 'word' && /^(by|without)$/i.test(next.text) && !notMetrics.has(word)
}

/** The expression is one vector selector and nothing else: its raw samples can be drawn. */
export function isBareSelector(expression: string): boolean {
  const text = stripComments(expression).trim()
  const [only, ...others] = selectors(text)
  return only !== undefined && others.length === 0 && only === text.replace(/^([\w:]+)\s+\{/, '$1{')
}

function stripComments(text: string): string {
  return tokenize(text, true)
    .map((token) => token.text)
    .join('')
}

/** Splits without judging: strings are taken whole, comments and (unless kept) spaces are left out. */
function tokenize(text: string, spaces = false): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const end = tokenEnd(text, at)
    const raw = text.slice(at, end)
    const space = /^\s/.test(raw)
    if (!raw.startsWith('#') && (spaces || !space))
      tokens.push({ kind: kindOf(raw), text: raw, start: at, end })
    at = end
  }
  return tokens
}

function tokenEnd(text: string, at: number): number {
  const first = text[at]!
  if (first === '{') return closing(text, at, '}')
  if (first === '[') return closing(text, at, ']')
  if (first === '"' || first === "'" || first === '`') return stringEnd(text, at)
  const run = /^(#[^\n]*|\s+|[a-zA-Z_:][\w:]*|[\d.][\w.+]*)/.exec(text.slice(at))
  return at + (run?.[0].length ?? 1)
}

function closing(text: string, at: number, close: string): number {
  let i = at + 1
  while (i < text.length && text[i] !== close) i = /["'`]/.test(text[i]!) ? stringEnd(text, i) : i + 1
  return Math.min(i + 1, text.length)
}

function stringEnd(text: string, at: number): number {
  const quote = text[at]
  let i = at + 1
  while (i < text.length && text[i] !== quote) i += text[i] === '\\' && quote !== '`' ? 2 : 1
  return Math.min(i + 1, text.length)
}

function kindOf(raw: string): Token['kind'] {
  if (raw.startsWith('{')) return 'braces'
  if (raw.startsWith('[')) return 'brackets'
  return /^[a-zA-Z_:]/.test(raw) ? 'word' : 'other'
}

export interface ErrorPlace {
  before: string
  marked: string
  after: string
}

/** `1:5: parse error: ...` points into the expression; this quotes the place. */
export function errorPlace(expression: string, message: string): ErrorPlace | undefined {
  const match = /(?:^|\s)(\d+):(\d+): parse error/.exec(message)
  if (!match) return undefined
  const lines = expression.split('\n')
  const line = lines[Number(match[1]) - 1]
  if (line === undefined) return undefined
  const column = Math.min(Number(match[2]) - 1, line.length)
  const word = /^(\w+|\s*\S)/.exec(line.slice(column))?.[0] ?? ''
  return { before: line.slice(0, column), marked: word || ' ', after: line.slice(column + word.length) }
}

/** The known names closest to one that matched nothing, nearest first. */
export function closestNames(name: string, known: readonly string[], limit = 3): string[] {
  const reach = Math.max(2, Math.floor(name.length / 3))
  return known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate, reach) }))
    .filter(({ distance }) => distance <= reach)
    .toSorted((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({ candidate }) => candidate)
}

function editDistance(a: string, b: string, reach: number): number {
  if (Math.abs(a.length - b.length) > reach) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1)
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]!
}
