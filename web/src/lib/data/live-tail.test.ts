import { describe, expect, it } from 'vitest'
import { extend, merge } from './live-tail'
import type { Series } from './series'

const series = (name: string, t: number[], v: number[] = t): Series => ({ labels: { __name__: name }, t, v })

describe('extend', () => {
  it('keeps the newest point and thins the ones before it to the step', () => {
    let held = [series('a', [0, 60])]
    for (let t = 61; t <= 185; t += 1) held = extend(held, [series('a', [t])], { from: 0, step: 60 })
    expect(held[0]!.t).toEqual([0, 60, 120, 180, 185])
  })

  it('ignores what it already has, drops what left the window and takes in new series', () => {
    const held = extend(
      [series('a', [1, 2, 3]), series('gone', [1])],
      [series('a', [3], [99]), series('b', [4])],
      {
        from: 2,
        step: 1,
      },
    )
    expect(held).toEqual([series('a', [2, 3]), series('b', [4])])
  })
})

describe('merge', () => {
  it('keeps every raw sample once', () => {
    const held = merge([series('a', [1, 2])], [series('a', [1, 2, 2.001, 2.002])], 0)
    expect(held[0]!.t).toEqual([1, 2, 2.001, 2.002])
  })
})
