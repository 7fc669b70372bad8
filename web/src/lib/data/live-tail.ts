/**
 * Adding what the live socket pushes to what the history query gave.
 *
 * The history has one point a step. Live points come every second; the newest is always kept, and the ones before it
 * are thinned to the step, so that a chart that stays open for days has as many points as one just opened.
 */
import { seriesText, type Series } from './series'

export interface Window {
  /** Points before this time are dropped. */
  from: number
  step: number
}

export function extend(history: readonly Series[], pushed: readonly Series[], window: Window): Series[] {
  const fresh = new Map(pushed.map((series) => [seriesText(series.labels), series]))
  const known = history.map((series) => {
    const key = seriesText(series.labels)
    const more = fresh.get(key)
    fresh.delete(key)
    return prune(more ? thin(series, more, window.step) : series, window.from)
  })
  return [...known, ...fresh.values()].filter((series) => series.t.length > 0)
}

/** Every pushed sample is kept: for raw samples, whose times are their own. */
export function merge(history: readonly Series[], pushed: readonly Series[], from: number): Series[] {
  return extend(history, pushed, { from, step: 0 })
}

function thin(series: Series, more: Series, step: number): Series {
  const t = [...series.t]
  const v = [...series.v]
  more.t.forEach((time, i) => {
    const last = t.at(-1)
    if (last !== undefined && time <= last) return
    const before = t.at(-2)
    // The last point is provisional until it lies a step behind the one before it.
    if (last !== undefined && before !== undefined && last - before < step) {
      t.pop()
      v.pop()
    }
    t.push(time)
    v.push(more.v[i]!)
  })
  return { labels: series.labels, t, v }
}

function prune(series: Series, from: number): Series {
  const first = series.t.findIndex((t) => t >= from)
  if (first === 0) return series
  if (first < 0) return { labels: series.labels, t: [], v: [] }
  return { labels: series.labels, t: series.t.slice(first), v: series.v.slice(first) }
}
