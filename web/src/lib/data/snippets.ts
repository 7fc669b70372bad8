/** What a newcomer pastes to see a first key arrive, with the addresses the node really has. */
export interface Addresses {
  /** `host:port` as this browser reached it. */
  http: string
  redis: string
  authRequired: boolean
}

export interface Snippet {
  id: string
  title: string
  hint: string
  code: string
}

export function snippets({ http, redis, authRequired }: Addresses): Snippet[] {
  const [host, port] = splitAddress(redis)
  const cliAuth = authRequired ? ' -a "$RINGWELL_AUTH_TOKEN"' : ''
  const pythonAuth = authRequired ? ', password=os.environ["RINGWELL_AUTH_TOKEN"]' : ''
  const promAuth = authRequired ? '\n    authorization:\n      credentials_file: ringwell.token' : ''
  return [
    {
      id: 'redis-cli',
      title: 'redis-cli',
      hint: 'One push is one sample.',
      code: `redis-cli -h ${host} -p ${port}${cliAuth} LPUSH metrics:training:proj-1:loss '{"step":1,"value":0.53}'`,
    },
    {
      id: 'python',
      title: 'Python',
      hint: 'pip install redis',
      code: `import json, ${authRequired ? 'os, ' : ''}redis

r = redis.Redis("${host}", ${port}${pythonAuth})
for step in range(100):
    r.lpush("metrics:training:proj-1:loss", json.dumps({"step": step, "value": 2 / (1 + step)}))`,
    },
    {
      id: 'prometheus',
      title: 'prometheus.yml',
      hint: 'Every series Prometheus scrapes.',
      code: `remote_write:
  - url: http://${http}/api/v1/write${promAuth}`,
    },
  ]
}

/** The last colon divides, so that an IPv6 address keeps its own; brackets go. */
export function splitAddress(address: string): [host: string, port: string] {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, at).replace(/^\[|\]$/g, '')
  return [host, address.slice(at + 1)]
}

/** A node that listens on every address is reached by the name the browser used for it. */
export function reachable(address: string, browserHost: string): string {
  const [host, port] = splitAddress(address)
  const everywhere = host === '0.0.0.0' || host === '::' || host === ''
  const name = everywhere ? browserHost : host
  return `${name.includes(':') ? `[${name}]` : name}:${port}`
}
