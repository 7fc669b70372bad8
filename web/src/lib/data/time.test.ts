import { describe, expect, it } from 'vitest'
import {
  durationText,
  fromLocalInput,
  parseDuration,
  presets,
  rangeTitle,
  snap,
  spanOf,
  stepFor,
  tickText,
  toLocalInput,
} from './time'

it.each([
  ['5m', 300],
  ['1h30m', 5400],
  ['7d', 604_800],
  ['0s', undefined],
  ['5', undefined],
  ['5 m', undefined],
  ['', undefined],
])('reads the duration %s', (text, seconds) => expect(parseDuration(text)).toBe(seconds))

it('writes durations that it reads back', () => {
  for (const { text, seconds } of presets) {
    expect(parseDuration(text)).toBe(seconds)
    expect(durationText(seconds)).toBe(text)
  }
  expect(durationText(90)).toBe('90s')
})

describe('ranges', () => {
  it('move with the clock or stay', () => {
    expect(spanOf({ kind: 'last', seconds: 60 }, 1000)).toEqual({ from: 940, to: 1000 })
    expect(spanOf({ kind: 'fixed', from: 1, to: 2 }, 1000)).toEqual({ from: 1, to: 2 })
  })

  it('have a title', () => {
    expect(rangeTitle({ kind: 'last', seconds: 21_600 })).toBe('Last 6 hours')
    expect(rangeTitle({ kind: 'last', seconds: 5400 })).toBe('Last 90m')
  })
})

describe('steps', () => {
  it.each([
    [300, 1000, 1],
    [21_600, 1000, 30],
    [604_800, 1000, 900],
    [86_400 * 400, 800, 43_200],
    [86_400 * 20_000, 100, 86_400 * 200],
  ])('%d s on %d px', (seconds, pixels, step) => {
    expect(stepFor({ from: 0, to: seconds }, pixels)).toBe(step)
  })

  it('never ask for more points than an API takes', () => {
    for (const pixels of [10, 1e6]) {
      const span = { from: 0, to: 1e9 }
      expect((span.to - span.from) / stepFor(span, pixels)).toBeLessThan(11_000)
    }
  })

  it('snap to the same instants while the window moves', () => {
    expect(snap({ from: 61, to: 121 }, 60)).toEqual(snap({ from: 100, to: 179 }, 60))
  })
})

it('labels ticks by what differs between them', () => {
  const noon = new Date(2026, 4, 3, 12, 30).getTime() / 1000
  const midnight = new Date(2026, 4, 3).getTime() / 1000
  expect(tickText(noon, 60)).toMatch(/12:30$/)
  expect(tickText(noon + 5, 5)).toMatch(/12:30:05/)
  expect(tickText(midnight, 3600)).toMatch(/3/)
  expect(tickText(midnight, 3600)).not.toMatch(/:/)
})

it('keeps a time through the input field', () => {
  const t = new Date(2026, 10, 22, 14, 3, 7).getTime() / 1000
  expect(fromLocalInput(toLocalInput(t))).toBe(t)
  expect(fromLocalInput('')).toBeUndefined()
})
