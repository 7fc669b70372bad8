import { describe, expect, it } from 'vitest'
import { drawing, gapLimit } from './draw'
import type { Series } from './series'

const series = (t: number[], v: number[] = t): Series => ({ labels: {}, t, v })

describe('gapLimit', () => {
  it('follows the step of stepped data', () => expect(gapLimit([0, 1, 2], 15)).toBe(22.5))

  it('follows the rhythm of raw data', () => {
    expect(gapLimit([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 400])).toBe(40)
    expect(gapLimit([0, 1, 100, 101, 200, 201, 300])).toBe(148.5)
  })

  it('joins two samples, whatever lies between', () => expect(gapLimit([0, 9e9])).toBe(Infinity))
})

describe('drawing', () => {
  it('breaks the line in a gap', () => {
    const { x, columns } = drawing([series([0, 15, 60, 75])], 15)
    expect(x).toEqual([0, 15, 37.5, 60, 75])
    expect(columns).toEqual([[0, 15, null, 60, 75]])
  })

  it('draws a single sample, and one alone between gaps, as a dot', () => {
    expect(drawing([series([5], [7])]).dots).toEqual([[0]])
    expect(drawing([series([0, 15, 60, 105, 120])], 15).dots).toEqual([[3]])
  })

  it('leaves out what has no place on the axis', () => {
    const { columns, dots } = drawing([series([0, 15, 30, 45], [1, NaN, 3, Infinity])], 15)
    expect(columns).toEqual([[1, null, 3, null]])
    expect(dots).toEqual([[0, 2]])
  })

  it('lets a line pass where only another series has a sample', () => {
    const { x, columns, dots } = drawing([series([0, 10, 20]), series([5, 10, 15])])
    expect(x).toEqual([0, 5, 10, 15, 20])
    expect(columns).toEqual([
      [0, undefined, 10, undefined, 20],
      [undefined, 5, 10, 15, undefined],
    ])
    expect(dots).toEqual([[], []])
  })

  it('holds for no series at all', () => {
    expect(drawing([])).toEqual({ x: [], columns: [], dots: [] })
  })
})
