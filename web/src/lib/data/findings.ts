/**
 * What needs somebody, told in one sentence at the top of the Overview. Rules of thumb with stated limits; the alert
 * rules are where anybody's own limits go.
 */
import type { Series } from './series'
import { formatValue } from './units'

export type Level = 'ok' | 'warning' | 'critical' | 'none'

export interface Finding {
  level: 'warning' | 'critical'
  text: string
  /** The expression that shows it. */
  expr: string
}

export const limits = {
  /** Times the median of all agents. */
  slowAgent: 2,
  hotGpu: 85,
  veryHotGpu: 92,
  /** Times the best loss of the same run, after which its curve turned upwards. */
  divergingLoss: 1.5,
  fullDisk: 90,
  fullMemory: 95,
} as const

export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).toSorted((a, b) => a - b)
  if (!sorted.length) return NaN
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** How many times the fleet's median this value is; 1 where there are too few to compare with. */
export function timesMedian(value: number, all: readonly number[]): number {
  const middle = median(all)
  return all.length >= 3 && middle > 0 ? value / middle : 1
}

export function gpuLevel(celsius: number | undefined): Level {
  if (celsius === undefined || !Number.isFinite(celsius)) return 'none'
  if (celsius >= limits.veryHotGpu) return 'critical'
  return celsius >= limits.hotGpu ? 'warning' : 'ok'
}

/**
 * The highest value of the last `seconds` before the newest sample. A GPU that swings between cool and hot is a hot
 * one, also while it happens to be cool.
 */
export function recentPeak({ t, v }: Series, seconds = 1_800): number {
  const from = (t.at(-1) ?? 0) - seconds
  return v.reduce(
    (peak, value, i) => (t[i]! >= from && value > peak ? value : peak),
    Number.NEGATIVE_INFINITY,
  )
}

export type RunState = 'converging' | 'converged' | 'plateau' | 'diverging' | 'unknown'

/**
 * Judged on medians of the curve's parts, so that one spike decides nothing. Diverging: the last twentieth lies well
 * above the best one. Converging: the last quarter lies below the quarter before it. A curve that does neither has
 * converged if it fell before, and is a plateau if it never did.
 */
export function runState(loss: Series): RunState {
  const values = loss.v.filter(Number.isFinite)
  if (values.length < 20) return 'unknown'
  const size = Math.floor(values.length / 20)
  const parts = Array.from({ length: 20 }, (_, i) =>
    median(values.slice(values.length - (20 - i) * size, values.length - (19 - i) * size)),
  )
  const last = parts[19]!
  if (last > Math.min(...parts) * limits.divergingLoss) return 'diverging'
  if (median(parts.slice(15)) < median(parts.slice(10, 15)) * 0.97) return 'converging'
  return last < parts[0]! * 0.7 ? 'converged' : 'plateau'
}

export interface Fleet {
  /** Mean task duration by agent. */
  agents: ReadonlyMap<string, number>
  /** Their highest temperatures of late. */
  gpus: ReadonlyMap<string, number>
  runs: readonly Series[]
  disk?: number
  memory?: number
}

export function findings(fleet: Fleet): Finding[] {
  const found: Finding[] = []
  for (const run of fleet.runs)
    if (runState(run) === 'diverging')
      found.push({
        level: 'critical',
        text: `run ${run.labels.project ?? run.labels.run ?? ''} diverges`,
        expr: `training_loss{project="${run.labels.project ?? ''}"}`,
      })
  for (const [gpu, celsius] of fleet.gpus) {
    const level = gpuLevel(celsius)
    if (level === 'warning' || level === 'critical')
      found.push({
        level,
        text: `${gpu} runs hot, up to ${Math.round(celsius)} °C`,
        expr: `{__name__=~"gpu_.*",gpu="${gpu}"}`,
      })
  }
  const durations = [...fleet.agents.values()]
  for (const [agent, duration] of fleet.agents) {
    const times = timesMedian(duration, durations)
    if (times >= limits.slowAgent)
      found.push({
        level: 'warning',
        text: `${agent} takes ${times.toFixed(1)}× the median per task`,
        expr: `tasks_completion_duration_seconds{agent="${agent}"}`,
      })
  }
  if ((fleet.disk ?? 0) >= limits.fullDisk)
    found.push({
      level: 'critical',
      text: `a disk is ${formatValue(fleet.disk!, 'percent')} full`,
      expr: 'node_filesystem_avail_bytes',
    })
  if ((fleet.memory ?? 0) >= limits.fullMemory)
    found.push({
      level: 'warning',
      text: `memory is ${formatValue(fleet.memory!, 'percent')} used`,
      expr: 'node_memory_MemAvailable_bytes',
    })
  return found.toSorted((a, b) => Number(b.level === 'critical') - Number(a.level === 'critical'))
}
