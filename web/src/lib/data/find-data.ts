/**
 * Where are the data of a selector that shows nothing in the chosen range? A k-ary search: the past is cut into a few
 * hundred slices, one range query says which hold samples, and the newest slice is cut again.
 *
 * Pure: this file plans the queries and reads their answers; `find` is given the function that asks.
 */
import type { Series } from './series'
import type { Span } from './time'

export interface Slices {
  span: Span
  width: number
}

const day = 86_400

/** First a little over a year day by day, then all of Unix time: data imported from 1970 are data too. */
export function passes(now: number): Slices[] {
  return [
    { span: { from: now - 400 * day, to: now }, width: day },
    { span: { from: 0, to: now }, width: 60 * day },
  ].map(({ span, width }) => ({ span: { from: Math.max(0, span.from), to: span.to }, width }))
}

/** How many samples each slice holds; its window is the slice that ends at the step. */
export function sliceQuery(selector: string, width: number): string {
  return `sum(count_over_time(${selector}[${width}s]))`
}

export interface Found {
  /** Outer bounds of all slices that hold samples. */
  all: Span
  /** The slice with the newest sample. */
  newest: Span
}

export function occupied(answer: readonly Series[], width: number): Found | undefined {
  const ends = (answer[0]?.t ?? []).filter((_, i) => (answer[0]?.v[i] ?? 0) > 0)
  const [first, last] = [ends[0], ends.at(-1)]
  if (first === undefined || last === undefined) return undefined
  return { all: { from: first - width, to: last }, newest: { from: last - width, to: last } }
}

export type Ask = (query: string, span: Span, step: number) => Promise<readonly Series[]>

/** The extent of the selector's data, its newest end known to within a few seconds. */
export async function find(selector: string, now: number, ask: Ask): Promise<Span | undefined> {
  for (const { span, width } of passes(now)) {
    const answer = occupied(await ask(sliceQuery(selector, width), span, width), width)
    if (!answer) continue
    const from = await firstEdge(selector, answer.all.from, width, ask)
    const to = await lastEdge(selector, answer.newest, ask)
    return { from: Math.max(0, from), to }
  }
  return undefined
}

async function lastEdge(selector: string, slice: Span, ask: Ask): Promise<number> {
  let { to } = slice
  let width = slice.to - slice.from
  while (width > 5) {
    const narrower = Math.max(1, Math.ceil(width / 200))
    const span = { from: to - width + narrower, to: to + narrower }
    const answer = occupied(await ask(sliceQuery(selector, narrower), span, narrower), narrower)
    if (!answer) break
    to = answer.newest.to
    width = narrower
  }
  return to
}

async function firstEdge(selector: string, from: number, width: number, ask: Ask): Promise<number> {
  const narrower = Math.ceil(width / 200)
  const span = { from: from + narrower, to: from + width }
  return occupied(await ask(sliceQuery(selector, narrower), span, narrower), narrower)?.all.from ?? from
}

/** A window of the same length as the one that showed nothing, which ends just after the newest sample. */
export function windowAt(newest: number, length: number): Span {
  const to = newest + Math.max(1, length / 20)
  return { from: to - length, to }
}

/** All the data, with a margin; one sample gets five minutes around it. */
export function windowAround(extent: Span): Span {
  const margin = Math.max(150, (extent.to - extent.from) / 20)
  return { from: Math.max(0, extent.from - margin), to: extent.to + margin }
}
