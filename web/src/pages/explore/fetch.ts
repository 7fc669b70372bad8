/**
 * How Explore gets what it draws. A bare selector of reasonable size is drawn from its raw samples, so that every push
 * of a list is there; everything else is evaluated at one step per pixel or two.
 */
import { metricNames, queryInstant, queryRange, rangeSeries, type Answer } from '../../lib/api/prom'
import { find } from '../../lib/data/find-data'
import { closestNames, isBareSelector, selectors } from '../../lib/data/promql'
import { toSeries, type Series } from '../../lib/data/series'
import { snap, stepFor, type Span } from '../../lib/data/time'

/** Above these a browser would be drawing samples that share a pixel. */
export const rawLimits = { samples: 30_000, series: 50 }

export interface Result {
  /** What was asked, and is to be asked of the live socket: raw samples come by a short range. */
  expr: string
  live: string
  answer: Answer
  series: readonly Series[]
  span: Span
  /** Undefined for raw samples. */
  step: number | undefined
  /** Samples in the range, where they were too many to be drawn one by one. */
  thinned?: number
}

export async function fetchChart(
  expr: string,
  span: Span,
  pixels: number,
  signal: AbortSignal,
): Promise<Result> {
  if (isRange(expr)) return fetchRaw(expr, span, signal)
  const size = isBareSelector(expr) ? await rawSize(expr, span, signal) : undefined
  if (size && size.samples <= rawLimits.samples && size.series <= rawLimits.series)
    return fetchRaw(`${bare(expr)}[${milliseconds(span)}ms]`, span, signal)
  const step = stepFor(span, pixels / 2)
  const answer = await queryRange(expr, snap(span, step), step, signal)
  return { expr, live: expr, answer, series: toSeries(answer.data), span, step, thinned: size?.samples }
}

async function fetchRaw(expr: string, span: Span, signal: AbortSignal): Promise<Result> {
  const answer = await queryInstant(expr, span.to, signal)
  const live = expr.replace(/\[[^\]]*\]\s*$/, '[30s]')
  return { expr, live, answer, series: toSeries(answer.data), span, step: undefined }
}

async function rawSize(expr: string, span: Span, signal: AbortSignal) {
  const counts = `count_over_time(${bare(expr)}[${milliseconds(span)}ms])`
  const [samples, series] = await Promise.all(
    ['sum', 'count'].map(async (aggregate) => {
      const { data } = await queryInstant(`${aggregate}(${counts})`, span.to, signal)
      return toSeries(data)[0]?.v[0] ?? 0
    }),
  )
  return { samples: samples!, series: series! }
}

/** A comment after a selector would swallow the range that is put behind it. */
export function bare(expr: string): string {
  return selectors(expr)[0] ?? expr
}

function isRange(expr: string): boolean {
  return /\]\s*$/.test(expr)
}

function milliseconds(span: Span): number {
  return Math.max(1, Math.round((span.to - span.from) * 1000))
}

export interface Elsewhere {
  selector: string
  /** Where its data are; undefined where there are none at all. */
  extent: Span | undefined
  /** Names close to one that is unknown. */
  suggestions: readonly string[]
}

/** For an expression that yields nothing: where the data of its first selectors are instead. */
export async function lookElsewhere(expr: string, now: number, signal: AbortSignal): Promise<Elsewhere[]> {
  const wanted = selectors(expr).slice(0, 3)
  const names = await metricNames()
  return Promise.all(
    wanted.map(async (selector): Promise<Elsewhere> => {
      const name = /^[\w:]+/.exec(selector)?.[0]
      if (name && !names.includes(name))
        return { selector, extent: undefined, suggestions: closestNames(name, names) }
      const extent = await find(selector, now, (query, span, step) => rangeSeries(query, span, step, signal))
      return { selector, extent, suggestions: [] }
    }),
  )
}
