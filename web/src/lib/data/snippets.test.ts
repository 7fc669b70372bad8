import { expect, it } from 'vitest'
import { reachable, snippets, splitAddress } from './snippets'

const plain = { http: '127.0.0.1:9680', redis: '127.0.0.1:6380', authRequired: false }

it('speaks of the real addresses', () => {
  const [cli, python, prometheus] = snippets({ ...plain, http: 'box:81', redis: 'box:7000' })
  expect(cli!.code).toContain('redis-cli -h box -p 7000 LPUSH metrics:training:proj-1:loss')
  expect(python!.code).toContain('redis.Redis("box", 7000)')
  expect(prometheus!.code).toContain('url: http://box:81/api/v1/write')
})

it('asks for the secret only where one is needed', () => {
  expect(snippets(plain).some(({ code }) => code.includes('RINGWELL_AUTH_TOKEN'))).toBe(false)
  const [cli, python, prometheus] = snippets({ ...plain, authRequired: true })
  expect(cli!.code).toContain('-a "$RINGWELL_AUTH_TOKEN"')
  expect(python!.code).toContain('import json, os, redis')
  expect(prometheus!.code).toContain('credentials_file')
})

it.each([
  ['127.0.0.1:6380', 'box', '127.0.0.1:6380'],
  ['0.0.0.0:6380', 'box', 'box:6380'],
  ['[::]:6380', 'fe80::1', '[fe80::1]:6380'],
  ['[::1]:6380', 'box', '[::1]:6380'],
])('reaches %s from %s at %s', (address, host, result) => expect(reachable(address, host)).toBe(result))

it('splits an address at its last colon', () => expect(splitAddress('[::1]:80')).toEqual(['::1', '80']))
