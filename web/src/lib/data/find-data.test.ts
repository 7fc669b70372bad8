import { describe, expect, it } from 'vitest'
import { find, occupied, passes, windowAround, windowAt, type Ask } from './find-data'

const now = 1_795_000_000

/** Answers slice queries as an engine does: a window is open at its left end. */
function engine(samples: number[], asked: string[] = []): Ask {
  return async (query, span, step) => {
    asked.push(query)
    const width = Number(/\[(\d+)s\]/.exec(query)![1])
    const t: number[] = []
    const v: number[] = []
    for (let at = span.from; at <= span.to; at += step) {
      const count = samples.filter((s) => s > at - width && s <= at).length
      if (count) [t, v].forEach((column, i) => column.push(i ? count : at))
    }
    return t.length ? [{ labels: {}, t, v }] : []
  }
}

describe('find', () => {
  it.each([
    ['an hour ago', now - 3_600],
    ['three days ago', now - 3 * 86_400 - 17],
    ['a year ago', now - 380 * 86_400],
    ['in 1970', 1_234],
  ])('finds a single sample %s', async (_, sample) => {
    const asked: string[] = []
    const extent = (await find('x', now, engine([sample], asked)))!
    expect(extent.to).toBeGreaterThanOrEqual(sample)
    expect(extent.to - sample).toBeLessThan(10)
    expect(extent.from).toBeLessThan(sample)
    expect(asked.length).toBeLessThanOrEqual(8)
  })

  it('tells the extent of all the data', async () => {
    const extent = (await find('x', now, engine([now - 9 * 86_400, now - 5 * 86_400, now - 4 * 86_400])))!
    expect(Math.abs(extent.from - (now - 9 * 86_400))).toBeLessThan(600)
    expect(Math.abs(extent.to - (now - 4 * 86_400))).toBeLessThan(10)
  })

  it('says so when there are none', async () => {
    expect(await find('x', now, engine([]))).toBeUndefined()
  })
})

it('asks for few points a pass', () => {
  for (const { span, width } of passes(now)) expect((span.to - span.from) / width).toBeLessThan(1_000)
})

it('takes an empty answer as none', () => {
  expect(occupied([], 10)).toBeUndefined()
  expect(occupied([{ labels: {}, t: [5], v: [0] }], 10)).toBeUndefined()
})

it('offers windows that hold the newest sample', () => {
  const window = windowAt(1000, 300)
  expect(window.to - window.from).toBe(300)
  expect(window.from).toBeLessThan(1000)
  expect(window.to).toBeGreaterThan(1000)
  const around = windowAround({ from: 1000, to: 1001 })
  expect(around.to - around.from).toBeGreaterThan(299)
})
