/** The Prometheus HTTP API of this node, and the few routes beside it. Every request is on our own origin. */
import { toSeries, type QueryData, type Series } from '../data/series'
import type { Span } from '../data/time'

export interface Answer {
  data: QueryData
  warnings: readonly string[]
  infos: readonly string[]
  /** From the request to the parsed answer. */
  milliseconds: number
}

export class ApiError extends Error {
  override name = 'ApiError'
  constructor(
    message: string,
    readonly kind: string,
    readonly status: number,
  ) {
    super(message)
  }
}

interface Envelope<T> {
  status: 'success' | 'error'
  data?: T
  error?: string
  errorType?: string
  warnings?: string[]
  infos?: string[]
}

export interface NodeInfo {
  version: string
  hostname: string
  http: string
  redis: string
  demo: boolean
  startedAt: number
  authRequired: boolean
}

export interface KeySeen {
  key: string
  series: readonly string[]
  firstSeen: number
}

export async function queryInstant(query: string, time: number, signal?: AbortSignal): Promise<Answer> {
  return ask('/api/v1/query', { query, time: String(time) }, signal)
}

export async function queryRange(
  query: string,
  span: Span,
  step: number,
  signal?: AbortSignal,
): Promise<Answer> {
  const { from, to } = span
  return ask(
    '/api/v1/query_range',
    { query, start: String(from), end: String(to), step: String(step) },
    signal,
  )
}

export async function rangeSeries(
  query: string,
  span: Span,
  step: number,
  signal?: AbortSignal,
): Promise<Series[]> {
  return toSeries((await queryRange(query, span, step, signal)).data)
}

export async function nodeInfo(): Promise<NodeInfo> {
  return (await call<NodeInfo>('/api/v1/node')).data
}

export async function stopDemo(): Promise<void> {
  await call('/api/v1/demo/stop', { method: 'POST' })
}

export async function recentKeys(): Promise<KeySeen[]> {
  return (await call<KeySeen[]>('/api/v1/keys/recent')).data
}

export async function metricNames(): Promise<string[]> {
  return (await call<string[]>('/api/v1/label/__name__/values')).data
}

async function ask(path: string, fields: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
  const start = performance.now()
  // By POST form, because an expression may be longer than a URL may be.
  const envelope = await call<QueryData>(path, { method: 'POST', body: new URLSearchParams(fields), signal })
  return {
    data: envelope.data,
    warnings: envelope.warnings ?? [],
    infos: envelope.infos ?? [],
    milliseconds: performance.now() - start,
  }
}

async function call<T>(
  path: string,
  init: RequestInit = {},
): Promise<{ data: T; warnings?: string[]; infos?: string[] }> {
  const response = await reach(path, init)
  const text = await response.text()
  const envelope = parse<T>(text)
  if (!envelope)
    throw new ApiError(`${path} answered ${response.status}: ${text.slice(0, 200)}`, 'http', response.status)
  if (envelope.status !== 'success')
    throw new ApiError(envelope.error ?? 'no reason given', envelope.errorType ?? 'unknown', response.status)
  return { ...envelope, data: envelope.data as T }
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init)
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw new ApiError('The node does not answer.', 'network', 0)
  }
}

function parse<T>(text: string): Envelope<T> | undefined {
  try {
    return JSON.parse(text) as Envelope<T>
  } catch {
    return undefined
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
