/**
 * Time ranges and steps. A range is either the last so many seconds, which moves with the clock, or fixed.
 * Nothing here reads a clock: `now` is an argument, in seconds.
 */
export type TimeRange = { kind: 'last'; seconds: number } | { kind: 'fixed'; from: number; to: number }

export interface Span {
  from: number
  to: number
}

const units = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const

export const presets: readonly { text: string; seconds: number; title: string }[] = [
  { text: '5m', seconds: 300, title: 'Last 5 minutes' },
  { text: '15m', seconds: 900, title: 'Last 15 minutes' },
  { text: '1h', seconds: 3_600, title: 'Last hour' },
  { text: '6h', seconds: 21_600, title: 'Last 6 hours' },
  { text: '24h', seconds: 86_400, title: 'Last 24 hours' },
  { text: '2d', seconds: 172_800, title: 'Last 2 days' },
  { text: '7d', seconds: 604_800, title: 'Last 7 days' },
]

/** `5m`, `1h30m`, `7d`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+[smhdw])+$/.test(text)) return undefined
  let total = 0
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/g))
    total += Number(count) * units[unit as keyof typeof units]
  return total > 0 ? total : undefined
}

/** The inverse of `parseDuration`, in the spelling people use: whole hours up to two days, then days. */
export function durationText(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole % units.d === 0 && whole > units.d) return `${whole / units.d}d`
  for (const unit of ['h', 'm'] as const)
    if (whole % units[unit] === 0) return `${whole / units[unit]}${unit}`
  return `${whole}s`
}

export function spanOf(range: TimeRange, now: number): Span {
  return range.kind === 'last' ? { from: now - range.seconds, to: now } : { from: range.from, to: range.to }
}

export function rangeTitle(range: TimeRange): string {
  if (range.kind === 'fixed') return `${formatTime(range.from)} – ${formatTime(range.to)}`
  const preset = presets.find(({ seconds }) => seconds === range.seconds)
  return preset?.title ?? `Last ${durationText(range.seconds)}`
}

const steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400]

/** The smallest round step that needs no more points than there are pixels, and never over Prometheus's 11,000. */
export function stepFor(span: Span, pixels: number): number {
  const points = Math.min(Math.max(pixels, 50), 10_000)
  const least = (span.to - span.from) / points
  return steps.find((step) => step >= least) ?? Math.ceil(least / 86_400) * 86_400
}

/** Times snapped outwards to the step, so that a chart that moves on asks for the same instants again. */
export function snap(span: Span, step: number): Span {
  return { from: Math.floor(span.from / step) * step, to: Math.floor(span.to / step) * step }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const exact = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' })

/** Date and 24-hour time, seconds where they matter. */
export function formatTime(t: number, withSeconds = t % 60 !== 0): string {
  const date = new Date(t * 1000)
  return `${dayOfYear.format(date)}, ${(withSeconds ? exact : clock).format(date)}`
}

/** The label of an axis tick whose neighbours are `spacing` seconds away. */
export function tickText(t: number, spacing: number): string {
  const date = new Date(t * 1000)
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0
  if (spacing >= 86_400 * 180) return dayOfYear.format(date)
  if (spacing >= 86_400 || midnight) return day.format(date)
  return (spacing < 60 ? exact : clock).format(date)
}

/** What `<input type="datetime-local" step="1">` shows for a time, in the reader's own zone. */
export function toLocalInput(t: number): string {
  const date = new Date(Math.round(t) * 1000)
  const pad = (n: number, width = 2) => String(n).padStart(width, '0')
  const ymd = [pad(date.getFullYear(), 4), pad(date.getMonth() + 1), pad(date.getDate())].join('-')
  return `${ymd}T${[date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => pad(n)).join(':')}`
}

export function fromLocalInput(text: string): number | undefined {
  const t = new Date(text).getTime() / 1000
  return Number.isFinite(t) ? t : undefined
}
