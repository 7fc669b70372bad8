/**
 * The colours a canvas draws with. They live here and not in theme.css because a canvas cannot read tokens;
 * the text and surface tokens of theme.css are repeated in `surface` so that the tests can check contrast.
 *
 * Invariants (palette.test.ts): any two series colours lie at least 15 apart in Lab under normal vision and under
 * simulated protanopia, deuteranopia and tritanopia; every one has at least 3.9:1 contrast with its panel.
 */
export interface Palette {
  surface: string
  ink: string
  dim: string
  grid: string
  cursor: string
  /** For every series after the eighth: colours are never used twice. */
  other: string
  series: readonly string[]
}

export const dark: Palette = {
  surface: '#14181f',
  ink: '#eceff4',
  dim: '#a3adbb',
  grid: '#232a34',
  cursor: '#7d8897',
  other: '#5b6675',
  series: ['#2b8ffb', '#e4aa27', '#43d0b0', '#d56bb4', '#cdee71', '#c4a5ff', '#f3794d', '#aed7f0'],
}

export const light: Palette = {
  surface: '#ffffff',
  ink: '#11161d',
  dim: '#525d6b',
  grid: '#e1e5ea',
  cursor: '#6b7684',
  other: '#a9b2bd',
  series: ['#0a77fe', '#ae7200', '#138d77', '#b93898', '#155c00', '#6c34c2', '#cb473c', '#384257'],
}

/** The colour of the series at `rank`, counted from 0. */
export function seriesColor(palette: Palette, rank: number): string {
  return palette.series[rank] ?? palette.other
}
