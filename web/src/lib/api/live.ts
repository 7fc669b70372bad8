/**
 * One WebSocket a tab, on which every chart's subscription travels.
 *
 * - Equal subscriptions share one id on the wire; a newcomer is told the last frame at once.
 * - Frames of a subscription are counted (`seq`). A hole, like a reconnect, means pushes were missed: its listeners'
 *   `resync` is called, and they ask for the history again.
 * - A lost connection is retried with growing pauses; all subscriptions are sent again.
 * - `pause` closes the socket (a hidden page needs nothing), `resume` opens it.
 *
 * The socket and the timers are handed in, so that the tests need no network and no waiting.
 */
import type { QueryData } from '../data/series'
import type { KeySeen } from './prom'

export type Subscription = { query: string; everyMs: number } | { events: 'keys' }

export interface Frame {
  id: number
  seq?: number
  t?: number
  data?: QueryData
  event?: KeySeen
  error?: string
  errorType?: string
}

export interface Listener {
  frame: (frame: Frame) => void
  /** Pushes were missed since the last frame. */
  resync?: () => void
}

export type Status = 'idle' | 'connecting' | 'open' | 'lost' | 'paused'

export interface Socket {
  send(text: string): void
  close(): void
  onopen: (() => void) | null
  onclose: (() => void) | null
  onmessage: ((message: { data: unknown }) => void) | null
}

export interface Surroundings {
  connect: () => Socket
  later: (task: () => void, milliseconds: number) => unknown
  cancel: (timer: unknown) => void
  random: () => number
  status: (status: Status) => void
}

interface Entry {
  id: number
  subscription: Subscription
  listeners: Set<Listener>
  seq: number
  last?: Frame
}

export const pauses = { first: 250, most: 10_000 }

export class Live {
  #entries = new Map<string, Entry>()
  #byId = new Map<number, Entry>()
  #socket: Socket | undefined
  #open = false
  #paused = false
  #nextId = 1
  #failures = 0
  #timer: unknown

  constructor(private readonly around: Surroundings) {}

  /** Listens until the returned function is called; the first subscription opens the socket. */
  subscribe(subscription: Subscription, listener: Listener): () => void {
    const key = JSON.stringify(subscription)
    const entry = this.#entries.get(key) ?? this.#enter(key, subscription)
    entry.listeners.add(listener)
    if (entry.last) listener.frame(entry.last)
    this.#connect()
    return () => this.#leave(key, entry, listener)
  }

  pause(): void {
    this.#paused = true
    this.around.cancel(this.#timer)
    this.#drop()
    this.around.status('paused')
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#failures = 0
    this.#connect()
  }

  #enter(key: string, subscription: Subscription): Entry {
    const entry: Entry = { id: this.#nextId++, subscription, listeners: new Set(), seq: 0 }
    this.#entries.set(key, entry)
    this.#byId.set(entry.id, entry)
    if (this.#open) this.#send({ id: entry.id, subscribe: subscription })
    return entry
  }

  #leave(key: string, entry: Entry, listener: Listener): void {
    entry.listeners.delete(listener)
    if (entry.listeners.size || this.#entries.get(key) !== entry) return
    this.#entries.delete(key)
    this.#byId.delete(entry.id)
    if (this.#open) this.#send({ id: entry.id, unsubscribe: true })
  }

  #connect(): void {
    if (this.#socket || this.#paused || !this.#entries.size) return
    this.around.status(this.#failures ? 'lost' : 'connecting')
    const socket = this.around.connect()
    this.#socket = socket
    socket.onopen = () => this.#opened()
    socket.onclose = () => this.#closed()
    socket.onmessage = ({ data }) => this.#receive(String(data))
  }

  #opened(): void {
    this.#open = true
    const again = this.#failures > 0
    this.#failures = 0
    this.around.status('open')
    for (const entry of this.#entries.values()) {
      const missed = again || entry.seq > 0
      entry.seq = 0
      this.#send({ id: entry.id, subscribe: entry.subscription })
      if (missed) resync(entry)
    }
  }

  #closed(): void {
    this.#drop()
    this.#failures += 1
    this.around.status('lost')
    const pause = Math.min(pauses.most, pauses.first * 2 ** (this.#failures - 1))
    // Spread over half the pause, so that many tabs do not return in one instant.
    this.#timer = this.around.later(() => this.#connect(), pause * (0.5 + this.around.random() / 2))
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = undefined
    this.#open = false
    if (!socket) return
    socket.onopen = socket.onclose = socket.onmessage = null
    socket.close()
  }

  #receive(text: string): void {
    const frame = readFrame(text)
    const entry = frame && this.#byId.get(frame.id)
    if (!frame || !entry) return
    if (frame.seq !== undefined) {
      const hole = entry.seq > 0 && frame.seq !== entry.seq + 1
      entry.seq = frame.seq
      if (hole) resync(entry)
    }
    if (frame.data) entry.last = frame
    for (const listener of entry.listeners) listener.frame(frame)
  }

  #send(message: object): void {
    this.#socket?.send(JSON.stringify(message))
  }
}

function resync(entry: Entry): void {
  for (const listener of entry.listeners) listener.resync?.()
}

function readFrame(text: string): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(text)
    return typeof frame === 'object' && frame !== null && 'id' in frame ? (frame as Frame) : undefined
  } catch {
    return undefined
  }
}
