import { describe, expect, it } from 'vitest'
import { findings, gpuLevel, median, recentPeak, runState, timesMedian, type Fleet } from './findings'
import type { Series } from './series'

const curve = (at: (i: number) => number, project = 'p'): Series => ({
  labels: { project },
  t: Array.from({ length: 400 }, (_, i) => i),
  v: Array.from({ length: 400 }, (_, i) => at(i)),
})
const noise = (i: number) => 0.05 * Math.sin(i * 12.9898)
const quiet: Fleet = { agents: new Map(), gpus: new Map(), runs: [] }

describe('runState', () => {
  it.each([
    ['converging', (i: number) => 0.3 + 3 * Math.exp(-i / 150) + noise(i)],
    ['converged', (i: number) => 0.3 + 3 * Math.exp(-i / 40) + noise(i)],
    ['plateau', (i: number) => 0.5 + noise(i)],
    ['diverging', (i: number) => (i < 250 ? 0.6 + noise(i) : 0.6 + (i - 250) / 60)],
  ] as const)('sees a %s run', (state, at) => expect(runState(curve(at))).toBe(state))

  it('is not fooled by one spike, nor by NaN', () => {
    expect(runState(curve((i) => (i === 399 ? 50 : 0.5 + noise(i))))).toBe('plateau')
    expect(runState(curve(() => NaN))).toBe('unknown')
  })
})

it('compares with the median of at least three', () => {
  expect(median([3, 1, NaN, 2])).toBe(2)
  expect(median([])).toBeNaN()
  expect(timesMedian(30, [10, 30])).toBe(1)
  expect(timesMedian(30, [10, 10, 30])).toBe(3)
})

it('grades temperatures', () => {
  expect([undefined, NaN, 60, 85, 92].map(gpuLevel)).toEqual(['none', 'none', 'ok', 'warning', 'critical'])
})

it('remembers the peak of the last half hour', () => {
  const temperature = { labels: {}, t: [0, 600, 2_000, 3_000], v: [99, 91, 70, NaN] }
  expect(recentPeak(temperature)).toBe(70)
  expect(recentPeak(temperature, 2_400)).toBe(91)
  expect(gpuLevel(recentPeak({ labels: {}, t: [], v: [] }))).toBe('none')
})

describe('findings', () => {
  it('are none for a fleet that is well', () => {
    expect(findings(quiet)).toEqual([])
    expect(
      findings({
        ...quiet,
        agents: new Map([
          ['a', 1],
          ['b', 1.5],
          ['c', 1.2],
        ]),
        disk: 40,
      }),
    ).toEqual([])
  })

  it('name what needs somebody, the worst first', () => {
    const found = findings({
      agents: new Map([
        ['a', 10],
        ['b', 31],
        ['c', 10],
      ]),
      gpus: new Map([
        ['g0', 60],
        ['g1', 88.4],
      ]),
      runs: [curve((i) => (i < 250 ? 1 : i / 100), 'wild')],
      disk: 93,
      memory: 50,
    })
    expect(found.map(({ level, text }) => `${level}: ${text}`)).toEqual([
      'critical: run wild diverges',
      'critical: a disk is 93 % full',
      'warning: g1 runs hot, up to 88 °C',
      'warning: b takes 3.1× the median per task',
    ])
  })
})
