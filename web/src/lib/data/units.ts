/** Numbers as people read them. A unit is known from the panel, or guessed from a metric's name. */
export type Unit =
  'number' | 'percent' | 'ratio' | 'seconds' | 'bytes' | 'bytes/s' | 'celsius' | 'mb' | 'watts'

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
const decimal: readonly (readonly [number, string])[] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
]

export function formatValue(value: number, unit: Unit = 'number'): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '−Inf'
  const text = formatMagnitude(Math.abs(value), unit)
  return value < 0 ? `−${text}` : text
}

function formatMagnitude(value: number, unit: Unit): string {
  switch (unit) {
    case 'percent':
      return `${digits(value)} %`
    case 'ratio':
      return `${digits(value * 100)} %`
    case 'seconds':
      return seconds(value)
    case 'bytes':
      return bytes(value)
    case 'bytes/s':
      return `${bytes(value)}/s`
    case 'mb':
      return bytes(value * 1024 * 1024)
    case 'celsius':
      return `${digits(value)} °C`
    case 'watts':
      return `${digits(value)} W`
    case 'number':
      return short(value)
  }
}

/** Three significant digits, but never fewer than the whole part has. */
function digits(value: number): string {
  if (value === 0) return '0'
  if (value < 0.001) return value.toExponential(1)
  const places = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3
  return trimZeros(value.toFixed(places))
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

function short(value: number): string {
  for (const [size, suffix] of decimal) {
    // 9,999 stays a number people know; 10,000 becomes 10 k.
    if (value >= size && value >= 1e4) return `${digits(value / size)} ${suffix}`
  }
  return value >= 1e3 ? value.toFixed(0) : digits(value)
}

function bytes(value: number): string {
  let power = 0
  let scaled = value
  while (scaled >= 1024 && power < binary.length - 1) {
    scaled /= 1024
    power += 1
  }
  return `${digits(scaled)} ${binary[power]}`
}

function seconds(value: number): string {
  if (value === 0) return '0 s'
  if (value < 1e-3) return `${digits(value * 1e6)} µs`
  if (value < 1) return `${digits(value * 1e3)} ms`
  if (value < 120) return `${digits(value)} s`
  return formatDuration(value)
}

/** The two largest parts: `1 d 4 h`, `6 min 5 s`. */
export function formatDuration(value: number): string {
  let rest = Math.round(value)
  const parts: string[] = []
  for (const [size, name] of [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const) {
    const whole = Math.floor(rest / size)
    rest -= whole * size
    if (whole) parts.push(`${whole} ${name}`)
    else if (parts.length) break
    if (parts.length === 2) break
  }
  return parts.join(' ') || '0 s'
}

const endings: readonly (readonly [RegExp, Unit])[] = [
  [/_timestamp_seconds$|_time_seconds$/, 'number'],
  [/_bytes_total$|_bytes_(sum|count)$/, 'bytes'],
  [/_bytes$/, 'bytes'],
  [/_seconds(_total|_sum)?$/, 'seconds'],
  [/_percent$/, 'percent'],
  [/_ratio$/, 'ratio'],
  [/_celsius$/, 'celsius'],
  [/_mb$/, 'mb'],
  [/_watts$/, 'watts'],
]

/** What the metric an expression is about is counted in; a function over it leaves the unit unknown. */
export function guessUnit(expression: string): Unit {
  const name = /^\s*([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?\s*$/.exec(expression)?.[1]
  return endings.find(([ending]) => name && ending.test(name))?.[1] ?? 'number'
}
