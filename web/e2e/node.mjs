/** The real binary on free ports and a directory of its own, and a Redis client small enough to read. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const binary =
  process.env.RINGWELL_BIN ?? new URL('../../target/debug/ringwell', import.meta.url).pathname

export class Node {
  static async start(flags = [], dir = mkdtempSync(join(tmpdir(), 'ringwell-e2e-')), http = '127.0.0.1:0') {
    const node = new Node()
    node.dir = dir
    const addresses = ['--http-listen', http, '--redis-listen', '127.0.0.1:0']
    const args = ['serve', '--data-dir', dir, '--retention', '0', ...addresses, ...flags]
    // The node refuses RINGWELL_* settings it does not know, and those of the shell are not this test's business.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('RINGWELL_')),
    )
    node.process = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    const said = await node.#ready()
    node.url = /http listening on (http:\S+)/.exec(said)[1]
    node.redis = /redis listening on redis:\/\/(\S+)/.exec(said)[1]
    return node
  }

  #ready() {
    const { stdout, stderr } = this.process
    let out = ''
    stderr.on('data', (bytes) => (out += bytes))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${binary} is not ready after 60 s:\n${out}`)), 60_000)
      stdout.on('data', (bytes) => {
        out += bytes
        if (!/^ready$/m.test(out)) return
        clearTimeout(timer)
        resolve(out)
      })
      this.process.once('error', reject)
      this.process.once('exit', (code) => reject(new Error(`${binary} ended with ${code}:\n${out}`)))
    })
  }

  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, 'exit')
    this.process.kill('SIGTERM')
    await ended
  }

  async remove() {
    await this.stop()
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  /** One command, its reply as it stands on the wire. */
  async command(...args) {
    const at = this.redis.lastIndexOf(':')
    const socket = connect(Number(this.redis.slice(at + 1)), this.redis.slice(0, at))
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
    socket.end(`*${args.length}\r\n${parts.join('')}`)
    let reply = ''
    for await (const bytes of socket) reply += bytes
    if (reply.startsWith('-')) throw new Error(`${args.join(' ')}: ${reply}`)
    return reply
  }

  async query(expr) {
    const response = await fetch(`${this.url}/api/v1/query?${new URLSearchParams({ query: expr })}`)
    const { status, data, error } = await response.json()
    if (status !== 'success') throw new Error(`${expr}: ${error}`)
    return data.result
  }

  async until(expr, seconds = 60) {
    for (let i = 0; i < seconds * 4; i += 1) {
      const result = await this.query(expr)
      if (result.length) return result
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    throw new Error(`${expr} has no answer after ${seconds} s`)
  }
}
