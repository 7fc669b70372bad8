import { describe, expect, it } from 'vitest'
import { histogramCount, nearest, newest, seriesText, shortNames, summarize, toSeries } from './series'

describe('toSeries', () => {
  it('reads a matrix, special values included', () => {
    const values = [
      [1, '1'],
      [2, 'NaN'],
      [3, '+Inf'],
      [4, '-Inf'],
    ] as const
    expect(toSeries({ resultType: 'matrix', result: [{ metric: { a: 'b' }, values }] })).toEqual([
      { labels: { a: 'b' }, t: [1, 2, 3, 4], v: [1, NaN, Infinity, -Infinity] },
    ])
  })

  it('reads vectors and scalars as series of one point', () => {
    const vector = toSeries({ resultType: 'vector', result: [{ metric: {}, value: [5, '0.25'] }] })
    expect(vector).toEqual([{ labels: {}, t: [5], v: [0.25] }])
    expect(toSeries({ resultType: 'scalar', result: [5, '7'] })[0]!.v).toEqual([7])
    expect(toSeries({ resultType: 'string', result: [5, 'x'] })).toEqual([])
  })

  it('counts histograms, which have no curve', () => {
    const histogram = [5, { count: '3', sum: '9' }] as const
    expect(histogramCount({ resultType: 'vector', result: [{ metric: {}, histogram }] })).toBe(1)
    expect(toSeries({ resultType: 'vector', result: [{ metric: {}, histogram }] })).toEqual([])
  })
})

describe('names', () => {
  it('spells a series as PromQL reads it', () => {
    expect(seriesText({ __name__: 'up' })).toBe('up')
    expect(seriesText({ z: '1', __name__: 'up', a: 'say "hi"' })).toBe('up{a="say \\"hi\\"",z="1"}')
    expect(seriesText({})).toBe('{}')
  })

  it('keeps only what tells series apart', () => {
    const both = [
      { __name__: 'loss', project: 'p1', run: '1' },
      { __name__: 'loss', project: 'p2', run: '1' },
    ]
    expect(shortNames(both)).toEqual(['p1', 'p2'])
    expect(shortNames(both.slice(0, 1))).toEqual(['loss{project="p1",run="1"}'])
  })
})

describe('summaries', () => {
  it('skips what is not finite', () => {
    const { avg, min, max, count } = summarize({ labels: {}, t: [1, 2, 3], v: [1, NaN, 3] })
    expect({ avg, min, max, count }).toEqual({ avg: 2, min: 1, max: 3, count: 2 })
    expect(summarize({ labels: {}, t: [], v: [] }).avg).toBeNaN()
  })

  it('finds the newest sample and the one nearest to a time', () => {
    expect(newest([])).toBeUndefined()
    const times = [10, 20, 30]
    expect(newest([{ labels: {}, t: times, v: times }])).toBe(30)
    expect([4, 14, 16, 99].map((t) => nearest(times, t, 8))).toEqual([0, 0, 1, -1])
    expect(nearest([], 5, 100)).toBe(-1)
  })
})
