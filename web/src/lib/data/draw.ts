/**
 * Series -> the columns a chart draws. A gap in the data is a gap in the line; a sample alone between two gaps is a
 * dot, because a line through one point is nothing.
 *
 * In a column `null` breaks the line and `undefined` means "this series has no sample at this x", which a line passes.
 */
import type { Series } from './series'

export type Column = (number | null | undefined)[]

export interface Drawing {
  x: number[]
  columns: Column[]
  /** Per series: positions in `x` of the samples that are to be drawn as dots. */
  dots: number[][]
}

/**
 * The distance in seconds above which two neighbouring samples are not joined. `step` for stepped data; without it the
 * samples' own rhythm decides: four times the median distance, and 1.5 times the widest of the common ones, so that
 * neither jitter nor a single pause in ten tears a line.
 */
export function gapLimit(times: readonly number[], step?: number): number {
  if (step) return step * 1.5
  if (times.length < 3) return Infinity
  const distances = times
    .slice(1)
    .map((t, i) => t - times[i]!)
    .toSorted((a, b) => a - b)
  const at = (share: number) => distances[Math.floor((distances.length - 1) * share)]!
  return Math.max(4 * at(0.5), 1.5 * at(0.9))
}

export function drawing(all: readonly Series[], step?: number): Drawing {
  const pieces = all.map((series) => broken(series, gapLimit(series.t, step)))
  const x = union(pieces.map((piece) => piece.t))
  const columns = pieces.map((piece) => spread(x, piece))
  const dots = columns.map(lonely)
  return { x, columns, dots }
}

interface Piece {
  t: readonly number[]
  v: readonly (number | null)[]
}

/** Puts a null half-way into every gap, and in place of every value that cannot be drawn. */
function broken(series: Series, limit: number): Piece {
  const t: number[] = []
  const v: (number | null)[] = []
  series.t.forEach((time, i) => {
    const before = series.t[i - 1]
    if (before !== undefined && time - before > limit) {
      t.push((time + before) / 2)
      v.push(null)
    }
    const value = series.v[i]!
    t.push(time)
    v.push(Number.isFinite(value) ? value : null)
  })
  return { t, v }
}

function union(columns: readonly (readonly number[])[]): number[] {
  const [first, ...others] = columns
  if (!first) return []
  // Stepped series share their times, which makes the common case cheap.
  const same = others.every(
    (column) => column.length === first.length && column.every((t, i) => t === first[i]),
  )
  if (same) return [...first]
  return [...new Set(columns.flat())].toSorted((a, b) => a - b)
}

function spread(x: readonly number[], piece: Piece): Column {
  let next = 0
  return x.map((t) => (piece.t[next] === t ? piece.v[next++] : undefined))
}

function lonely(column: Column): number[] {
  const known = column.flatMap((value, i) => (value === undefined ? [] : [i]))
  return known.filter((at, k) => {
    const joined = (i: number | undefined) => i !== undefined && column[i] !== null
    return column[at] !== null && !joined(known[k - 1]) && !joined(known[k + 1])
  })
}
