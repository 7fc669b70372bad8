import { describe, expect, it } from 'vitest'
import { closestNames, errorPlace, isBareSelector, selectors } from './promql'

it.each<[string, string[]]>([
  ['up', ['up']],
  ['training_loss{project="demo-asr"}', ['training_loss{project="demo-asr"}']],
  ['{__name__=~"gpu_.*"}', ['{__name__=~"gpu_.*"}']],
  ['rate(http_requests_total{code=~"5.."}[5m])', ['http_requests_total{code=~"5.."}']],
  ['sum by (agent) (rate(a_total[5m])) / on (agent) group_left (team) b', ['a_total', 'b']],
  ['sum without(x) (a) and b unless c offset 5m', ['a', 'b', 'c']],
  ['a{x="}"} + a{x="}"} > bool 3', ['a{x="}"}']],
  ['histogram_quantile(0.9, sum by (le) (rate(d_bucket[1m])))', ['d_bucket']],
  ["label_replace(up, 'a', '$1', 'b', '(.*)')", ['up']],
  ['1 + Inf - nan * 0x1f', []],
  ['up # down', ['up']],
  ['', []],
])('finds the selectors of %s', (expression, found) => expect(selectors(expression)).toEqual(found))

it.each([
  ['up', true],
  [' job:rate:sum{a="b"} ', true],
  ['training_loss {project="a"}', true],
  ['{__name__="up"}', true],
  ['up # the targets', true],
  ['up[5m]', false],
  ['up offset 5m', false],
  ['up + 1', false],
  ['-up', false],
  ['sum(up)', false],
  ['(up)', false],
  ['time()', false],
  ['1', false],
  ['', false],
])('%s is a bare selector: %s', (expression, bare) => expect(isBareSelector(expression)).toBe(bare))

describe('errorPlace', () => {
  it('quotes the place of a parse error', () => {
    expect(errorPlace('sum(up))', '1:8: parse error: unexpected right parenthesis')).toEqual({
      before: 'sum(up)',
      marked: ')',
      after: '',
    })
    expect(
      errorPlace('up\nand foo bar', 'invalid parameter "query": 2:9: parse error: unexpected identifier'),
    ).toEqual({
      before: 'and foo ',
      marked: 'bar',
      after: '',
    })
  })

  it('marks the end where the text ends too early', () => {
    expect(errorPlace('sum(', '1:5: parse error: unclosed left parenthesis')).toEqual({
      before: 'sum(',
      marked: ' ',
      after: '',
    })
  })

  it('says nothing of errors without a place', () => {
    expect(errorPlace('up', 'query timed out')).toBeUndefined()
    expect(errorPlace('up', '7:1: parse error: x')).toBeUndefined()
  })
})

it('suggests the names somebody may have meant', () => {
  const known = ['training_loss', 'training_wer', 'up', 'node_load1']
  expect(closestNames('trainig_loss', known)).toEqual(['training_loss'])
  expect(closestNames('zzz', known)).toEqual([])
})
