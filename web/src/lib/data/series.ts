/**
 * Series as the pages hold them, and what the API's JSON becomes.
 *
 * Times are seconds, ascending and unique within a series; a value may be NaN or infinite (a table shows it, a chart
 * leaves a gap).
 */
export type Labels = Readonly<Record<string, string>>

export interface Series {
  labels: Labels
  t: readonly number[]
  v: readonly number[]
}

export type Point = readonly [number, string]

export interface NativeHistogram {
  count: string
  sum: string
  buckets?: readonly (readonly [number, string, string, string])[]
}

export interface MatrixEntry {
  metric: Labels
  values?: readonly Point[]
  histograms?: readonly (readonly [number, NativeHistogram])[]
}

export interface VectorEntry {
  metric: Labels
  value?: Point
  histogram?: readonly [number, NativeHistogram]
}

export type QueryData =
  | { resultType: 'matrix'; result: readonly MatrixEntry[] }
  | { resultType: 'vector'; result: readonly VectorEntry[] }
  | { resultType: 'scalar' | 'string'; result: Point }

/** Prometheus writes values as strings so that NaN and the infinities survive JSON. */
export function parseValue(text: string): number {
  if (text === '+Inf') return Infinity
  if (text === '-Inf') return -Infinity
  return Number(text)
}

/** The float series of any answer; histograms are counted by `histogramCount`. */
export function toSeries(data: QueryData): Series[] {
  switch (data.resultType) {
    case 'matrix':
      return data.result
        .filter((entry) => entry.values?.length)
        .map(({ metric, values = [] }) => ({
          labels: metric,
          t: values.map(([t]) => t),
          v: values.map(([, v]) => parseValue(v)),
        }))
    case 'vector':
      return data.result.flatMap(({ metric, value }) =>
        value ? [{ labels: metric, t: [value[0]], v: [parseValue(value[1])] }] : [],
      )
    case 'scalar':
      return [{ labels: {}, t: [data.result[0]], v: [parseValue(data.result[1])] }]
    default:
      return []
  }
}

export function histogramCount(data: QueryData): number {
  if (data.resultType === 'matrix')
    return data.result.reduce((sum, entry) => sum + (entry.histograms?.length ?? 0), 0)
  if (data.resultType === 'vector') return data.result.filter((entry) => entry.histogram).length
  return 0
}

/** `name{a="b",c="d"}`, the spelling PromQL reads back. */
export function seriesText(labels: Labels): string {
  const { __name__: name = '', ...rest } = labels
  const pairs = Object.entries(rest)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  if (!pairs.length) return name || '{}'
  return `${name}{${pairs.join(',')}}`
}

/**
 * The shortest names that still tell series apart: values of the labels that differ, or the whole text where nothing
 * differs.
 */
export function shortNames(all: readonly Labels[]): string[] {
  const keys = [...new Set(all.flatMap((labels) => Object.keys(labels)))].toSorted()
  const varying = keys.filter((key) => new Set(all.map((labels) => labels[key] ?? '')).size > 1)
  return all.map((labels) => {
    const parts = varying.map((key) => labels[key]).filter((part) => part !== undefined)
    return parts.length ? parts.join(' · ') : seriesText(labels)
  })
}

export interface Summary {
  last: number
  avg: number
  min: number
  max: number
  count: number
}

/** Of the finite values; NaN where there are none. */
export function summarize(series: Series): Summary {
  let [min, max, sum, count] = [Infinity, -Infinity, 0, 0]
  for (const value of series.v) {
    if (!Number.isFinite(value)) continue
    min = Math.min(min, value)
    max = Math.max(max, value)
    sum += value
    count += 1
  }
  const last = series.v.at(-1) ?? NaN
  if (!count) return { last, avg: NaN, min: NaN, max: NaN, count }
  return { last, avg: sum / count, min, max, count }
}

export function newest(all: readonly Series[]): number | undefined {
  const times = all.map((series) => series.t.at(-1)).filter((t) => t !== undefined)
  return times.length ? Math.max(...times) : undefined
}

/** The index of the sample nearest to `t`, or -1 where none lies within `reach` seconds. */
export function nearest(times: readonly number[], t: number, reach: number): number {
  let [low, high] = [0, times.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle]! < t) low = middle + 1
    else high = middle
  }
  const after = times[low] ?? Infinity
  const before = times[low - 1] ?? -Infinity
  const [index, distance] = t - before <= after - t ? [low - 1, t - before] : [low, after - t]
  return distance <= reach ? index : -1
}
