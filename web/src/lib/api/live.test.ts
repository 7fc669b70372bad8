import { beforeEach, describe, expect, it } from 'vitest'
import { Live, pauses, type Frame, type Listener, type Socket, type Status } from './live'

class FakeSocket implements Socket {
  sent: unknown[] = []
  closed = false
  onopen: (() => void) | null = null
  onclose: (() => void) | null = null
  onmessage: ((message: { data: unknown }) => void) | null = null
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {
    this.closed = true
  }
  push(frame: object | string) {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) })
  }
}

let sockets: FakeSocket[]
let timers: { task: () => void; milliseconds: number }[]
let statuses: Status[]
let live: Live

beforeEach(() => {
  sockets = []
  timers = []
  statuses = []
  live = new Live({
    connect: () => sockets[sockets.push(new FakeSocket()) - 1]!,
    later: (task, milliseconds) => timers.push({ task, milliseconds }),
    cancel: () => timers.splice(0),
    random: () => 1,
    status: (status) => statuses.push(status),
  })
})

const up = { query: 'up', everyMs: 1000 }

function listen(): Listener & { frames: Frame[]; resyncs: number } {
  const heard = {
    frames: [] as Frame[],
    resyncs: 0,
    frame: (frame: Frame) => void heard.frames.push(frame),
    resync: () => void (heard.resyncs += 1),
  }
  return heard
}

const vector = { resultType: 'vector', result: [] } as const

describe('subscriptions', () => {
  it('open no socket before there is one', () => expect(sockets).toEqual([]))

  it('are shared on the wire, and end with their last listener', () => {
    const [a, b] = [listen(), listen()]
    const stopA = live.subscribe(up, a)
    sockets[0]!.onopen!()
    sockets[0]!.push({ id: 1, seq: 1, t: 5, data: vector })
    const stopB = live.subscribe({ ...up }, b)
    expect(b.frames).toEqual(a.frames)
    stopA()
    stopA()
    expect(sockets[0]!.sent).toEqual([{ id: 1, subscribe: up }])
    stopB()
    expect(sockets[0]!.sent.at(-1)).toEqual({ id: 1, unsubscribe: true })
    sockets[0]!.push({ id: 1, seq: 2, t: 6, data: vector })
    expect(b.frames.length).toBe(1)
  })

  it('hear events and errors, and survive what they cannot read', () => {
    const keys = listen()
    live.subscribe({ events: 'keys' }, keys)
    sockets[0]!.onopen!()
    for (const frame of ['{', '7', 'null', { id: 99 }]) sockets[0]!.push(frame)
    sockets[0]!.push({ id: 1, seq: 1, event: { key: 'k', series: ['s'], firstSeen: 1 } })
    sockets[0]!.push({ id: 1, error: 'no', errorType: 'bad_data' })
    expect(keys.frames.map((frame) => frame.event?.key ?? frame.error)).toEqual(['k', 'no'])
  })
})

describe('a lost connection', () => {
  it('is retried with growing pauses, and everything is subscribed again', () => {
    const heard = listen()
    live.subscribe(up, heard)
    sockets[0]!.onopen!()
    sockets[0]!.push({ id: 1, seq: 41, data: vector })
    const waits: number[] = []
    for (let i = 0; i < 8; i += 1) {
      sockets.at(-1)!.onclose!()
      const { task, milliseconds } = timers.pop()!
      waits.push(milliseconds)
      task()
    }
    expect(waits.slice(0, 3)).toEqual([pauses.first, pauses.first * 2, pauses.first * 4])
    expect(waits.at(-1)).toBe(pauses.most)
    sockets.at(-1)!.onopen!()
    expect(sockets.at(-1)!.sent).toEqual([{ id: 1, subscribe: up }])
    expect(heard.resyncs).toBe(1)
    sockets.at(-1)!.push({ id: 1, seq: 1, data: vector })
    expect(heard.resyncs).toBe(1)
    expect(statuses.at(-1)).toBe('open')
  })

  it('is told from a hole in the count', () => {
    const heard = listen()
    live.subscribe(up, heard)
    sockets[0]!.onopen!()
    for (const seq of [1, 2, 3, 7, 8]) sockets[0]!.push({ id: 1, seq, data: vector })
    expect(heard.resyncs).toBe(1)
    expect(heard.frames.length).toBe(5)
  })
})

describe('pause', () => {
  it('closes the socket and resumes with what was subscribed', () => {
    const heard = listen()
    live.subscribe(up, heard)
    sockets[0]!.onopen!()
    sockets[0]!.push({ id: 1, seq: 1, data: vector })
    live.pause()
    expect(sockets[0]!.closed).toBe(true)
    expect(timers).toEqual([])
    live.subscribe({ query: 'x', everyMs: 250 }, listen())
    expect(sockets.length).toBe(1)
    live.resume()
    sockets[1]!.onopen!()
    expect(sockets[1]!.sent).toEqual([
      { id: 1, subscribe: up },
      { id: 2, subscribe: { query: 'x', everyMs: 250 } },
    ])
    expect(heard.resyncs).toBe(1)
    expect(statuses).toEqual(['connecting', 'open', 'paused', 'connecting', 'open'])
  })
})
