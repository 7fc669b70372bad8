import { expect, it } from 'vitest'
import { exploreLink, exploreUrl, initial, parseExplore, type ExploreState } from './url'

const search = (url: string) => new URL(url, 'http://ringwell').search

it.each<ExploreState>([
  { expr: 'up', range: { kind: 'last', seconds: 21_600 }, view: 'chart' },
  {
    expr: 'sum by (a) (rate(x{y=~"a&b=c"}[5m])) > 1 # %',
    range: { kind: 'fixed', from: 1.5, to: 99 },
    view: 'table',
  },
  { expr: '', range: { kind: 'last', seconds: 5_400 }, view: 'chart' },
])('keeps %o through the address', (state) => {
  expect(parseExplore(search(exploreUrl(state)))).toEqual(state)
})

it.each(['', '?last=soon', '?from=5&to=5', '?from=9&to=1', '?from=x&to=1', '?view=pie'])(
  'falls back for %s',
  (text) => expect(parseExplore(text)).toEqual(initial),
)

it('links to a series', () => {
  const state = parseExplore(search(exploreLink('training_loss{project="proj-1",run="1"}', 300)))
  expect(state.expr).toBe('training_loss{project="proj-1",run="1"}')
  expect(state.range).toEqual({ kind: 'last', seconds: 300 })
})
