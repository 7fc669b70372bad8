/** Explore's state as the page's address and back, so that what is on the screen can be sent to somebody. */
import { durationText, parseDuration, type TimeRange } from './time'

export type View = 'chart' | 'table'

export interface ExploreState {
  expr: string
  range: TimeRange
  view: View
}

export const initial: ExploreState = { expr: '', range: { kind: 'last', seconds: 3_600 }, view: 'chart' }

export function exploreUrl(state: ExploreState): string {
  const query = new URLSearchParams()
  if (state.expr) query.set('expr', state.expr)
  if (state.range.kind === 'last') query.set('last', durationText(state.range.seconds))
  else {
    query.set('from', String(round(state.range.from)))
    query.set('to', String(round(state.range.to)))
  }
  if (state.view !== initial.view) query.set('view', state.view)
  return `/explore?${query}`
}

/** Anything that cannot be read falls back to the initial state: an address is input from outside. */
export function parseExplore(search: string): ExploreState {
  const query = new URLSearchParams(search)
  return {
    expr: query.get('expr') ?? initial.expr,
    range: parseRange(query) ?? initial.range,
    view: query.get('view') === 'table' ? 'table' : 'chart',
  }
}

function parseRange(query: URLSearchParams): TimeRange | undefined {
  const [from, to] = [query.get('from'), query.get('to')].map((text) => (text ? Number(text) : NaN))
  if (Number.isFinite(from) && Number.isFinite(to) && from! < to!)
    return { kind: 'fixed', from: from!, to: to! }
  const seconds = parseDuration(query.get('last') ?? '')
  return seconds === undefined ? undefined : { kind: 'last', seconds }
}

function round(t: number): number {
  return Math.round(t * 1000) / 1000
}

/** Where a series (or any expression) is looked at. */
export function exploreLink(expr: string, seconds = 3_600): string {
  return exploreUrl({ ...initial, expr, range: { kind: 'last', seconds } })
}
