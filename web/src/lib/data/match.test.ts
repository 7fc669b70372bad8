import { expect, it } from 'vitest'
import { groupNames, match } from './match'

const names = ['node_load1', 'training_loss', 'loss_total', 'up', 'Overview']
const find = (wanted: string) => match(wanted, names, (name) => name)

it.each<[string, string[]]>([
  ['', names],
  ['loss', ['loss_total', 'training_loss']],
  ['training loss', ['training_loss']],
  ['trlo', ['training_loss']],
  ['OVER', ['Overview']],
  ['zzz', []],
])('%s', (wanted, found) => expect(find(wanted)).toEqual(found))

it('groups names by their first word, the node itself last', () => {
  const all = ['node_load1', 'process_x', 'ringwell_a', 'ringwell_b', 'training_loss', 'up', 'job:rate:sum']
  expect(groupNames(all)).toEqual([
    { prefix: 'job', names: ['job:rate:sum'] },
    { prefix: 'training', names: ['training_loss'] },
    { prefix: 'up', names: ['up'] },
    { prefix: 'node', names: ['node_load1'] },
    { prefix: 'process', names: ['process_x'] },
    { prefix: 'ringwell', names: ['ringwell_a', 'ringwell_b'] },
  ])
})
