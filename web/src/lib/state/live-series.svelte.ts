/**
 * One expression over a window that ends now: its history by a range query, then kept up by the live socket.
 *
 * `$state.raw`: results are replaced, never changed, and the arrays in them are not made reactive.
 */
import { untrack } from 'svelte'
import { errorText, isAbort, rangeSeries } from '../api/prom'
import { extend } from '../data/live-tail'
import { toSeries, type Series } from '../data/series'
import { snap, stepFor } from '../data/time'
import { live } from './live.svelte'

export interface Watch {
  query: string
  /** Length of the window in seconds; 0 for the newest values alone. */
  window: number
  /** About as many points as the chart is wide. */
  points?: number
  everyMs?: number
}

export class LiveSeries {
  series = $state.raw<readonly Series[]>([])
  /** The newest pushed value of each series. */
  current = $state.raw<readonly Series[]>([])
  loaded = $state(false)
  error = $state<string>()
  step = $state(1)

  /** Call while a component is set up; follows `watch` as what it reads changes. Undefined watches nothing. */
  constructor(watch: () => Watch | undefined) {
    $effect(() => {
      const wanted = watch()
      if (wanted) return untrack(() => this.#follow(wanted))
    })
  }

  /** The one current value, where the expression yields one series. */
  get value(): number | undefined {
    return this.current[0]?.v.at(-1) ?? this.series[0]?.v.at(-1)
  }

  #follow({ query, window, points = 300, everyMs = 1000 }: Watch): () => void {
    const stop = new AbortController()
    const step = window ? stepFor({ from: 0, to: window }, points) : 1
    this.step = step
    this.series = []
    this.loaded = false
    let pending: readonly Series[] = []

    const load = async () => {
      if (!window) return
      const now = Date.now() / 1000
      try {
        const history = await rangeSeries(
          query,
          snap({ from: now - window, to: now }, step),
          step,
          stop.signal,
        )
        this.series = extend(history, pending, { from: now - window, step })
        this.loaded = true
        this.error = undefined
      } catch (error) {
        if (!isAbort(error)) this.error = errorText(error)
      }
    }
    const unsubscribe = live.subscribe(
      { query, everyMs },
      {
        frame: ({ data, t, error }) => {
          this.error = error
          if (!data) return
          this.current = pending = toSeries(data)
          if (!window) this.loaded = true
          else if (this.loaded)
            this.series = extend(this.series, pending, { from: (t ?? Date.now() / 1000) - window, step })
        },
        resync: () => void load(),
      },
    )
    void load()
    return () => {
      stop.abort()
      unsubscribe()
    }
  }
}
