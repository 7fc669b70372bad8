import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { dark, light, seriesColor, type Palette } from './palette'

type Triple = [number, number, number]

// Machado, Oliveira and Fernandes (2009), severity 1.0, applied to linear RGB.
const visions: Record<string, number[]> = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
}

function linear(hex: string): Triple {
  const channel = (at: number) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }
  return [channel(1), channel(3), channel(5)]
}

function simulate(rgb: Triple, m: number[]): Triple {
  const row = (i: number) =>
    Math.min(1, Math.max(0, m[i]! * rgb[0] + m[i + 1]! * rgb[1] + m[i + 2]! * rgb[2]))
  return [row(0), row(3), row(6)]
}

function lab([r, g, b]: Triple): Triple {
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116)
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047)
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b)
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883)
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const [r, g, bl] = linear(hex)
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl
  }
  const [hi, lo] = [luminance(a), luminance(b)].toSorted((p, q) => q - p) as [number, number]
  return (hi + 0.05) / (lo + 0.05)
}

function smallestDistance(palette: Palette, vision: number[]): number {
  const points = palette.series.map((hex) => lab(simulate(linear(hex), vision)))
  let least = Infinity
  points.forEach((p, i) => {
    for (const q of points.slice(i + 1))
      least = Math.min(least, Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]))
  })
  return least
}

describe.each([
  ['dark', dark],
  ['light', light],
])('%s palette', (_, palette) => {
  it.each(Object.entries(visions))('keeps series apart under %s vision', (_vision, matrix) => {
    expect(smallestDistance(palette, matrix)).toBeGreaterThanOrEqual(15)
  })

  it('draws every series, and text, with enough contrast', () => {
    for (const hex of palette.series) expect(contrast(hex, palette.surface), hex).toBeGreaterThanOrEqual(3.9)
    expect(contrast(palette.ink, palette.surface)).toBeGreaterThanOrEqual(15)
    expect(contrast(palette.dim, palette.surface)).toBeGreaterThanOrEqual(6)
  })

  it('never uses a colour twice', () => {
    expect(new Set(palette.series).size).toBe(8)
    expect(seriesColor(palette, 8)).toBe(palette.other)
    expect(palette.series).not.toContain(palette.other)
  })
})

it('repeats the tokens of theme.css, so that what is checked here is what is seen', () => {
  const css = readFileSync(new URL('../../theme.css', import.meta.url), 'utf8')
  const token = (name: string) =>
    new RegExp(`--${name}: light-dark\\((#\\w+), (#\\w+)\\)`).exec(css)?.slice(1)
  expect(token('panel')).toEqual([light.surface, dark.surface])
  expect(token('ink')).toEqual([light.ink, dark.ink])
  expect(token('dim')).toEqual([light.dim, dark.dim])
  expect(token('line')).toEqual([light.grid, dark.grid])
})
