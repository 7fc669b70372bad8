import { expect, it } from 'vitest'
import { match } from './match'

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
