import { expect, it } from 'vitest'
import { formatDuration, formatValue, guessUnit, type Unit } from './units'

it.each<[number, Unit, string]>([
  [0, 'number', '0'],
  [0.53, 'number', '0.53'],
  [0.000012, 'number', '1.2e-5'],
  [999.6, 'number', '1000'],
  [9_999, 'number', '9999'],
  [12_340, 'number', '12.3 k'],
  [1_500_000, 'number', '1.5 M'],
  [-2.5, 'number', '−2.5'],
  [NaN, 'number', 'NaN'],
  [Infinity, 'bytes', '+Inf'],
  [97.26, 'percent', '97.3 %'],
  [0.5, 'ratio', '50 %'],
  [1536, 'bytes', '1.5 KiB'],
  [1024 ** 3 * 16, 'bytes', '16 GiB'],
  [2048, 'bytes/s', '2 KiB/s'],
  [24_576, 'mb', '24 GiB'],
  [91.44, 'celsius', '91.4 °C'],
  [0.0042, 'seconds', '4.2 ms'],
  [0.000003, 'seconds', '3 µs'],
  [33.33, 'seconds', '33.3 s'],
  [3725, 'seconds', '1 h 2 min'],
])('formats %d as %s', (value, unit, text) => expect(formatValue(value, unit)).toBe(text))

it.each([
  [0, '0 s'],
  [59, '59 s'],
  [3600, '1 h'],
  [90_000, '1 d 1 h'],
  [86_460, '1 d'],
])('spells %d seconds', (value, text) => expect(formatDuration(value)).toBe(text))

it.each<[string, Unit]>([
  ['node_memory_MemFree_bytes', 'bytes'],
  ['tasks_completion_duration_seconds{agent="a"}', 'seconds'],
  ['gpu_temperature_celsius', 'celsius'],
  ['gpu_current_memory_used_mb', 'mb'],
  ['rate(node_cpu_seconds_total[1m])', 'number'],
  ['alerts_last_fired_timestamp_seconds', 'number'],
  ['training_loss', 'number'],
])('guesses the unit of %s', (expression, unit) => expect(guessUnit(expression)).toBe(unit))
