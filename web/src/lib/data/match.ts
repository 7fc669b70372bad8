/** Finding an entry by some of its letters. */

/** Entries that contain the letters in order, the closest first; all of them, in their order, for no letters. */
export function match<T>(wanted: string, entries: readonly T[], text: (entry: T) => string): T[] {
  const letters = wanted.trim().toLowerCase().replaceAll(' ', '_')
  if (!letters) return [...entries]
  return entries
    .map((entry, order) => ({ entry, order, cost: cost(letters, text(entry).toLowerCase()) }))
    .filter((found) => found.cost < Infinity)
    .toSorted((a, b) => a.cost - b.cost || a.order - b.order)
    .map(({ entry }) => entry)
}

/** A run of letters is better than scattered ones, a start better than a middle, and a short name than a long one. */
function cost(letters: string, name: string): number {
  const at = name.indexOf(letters)
  if (at >= 0) return (at === 0 ? 0 : name[at - 1] === '_' ? 10 : 20) + name.length / 1000
  let from = 0
  let skipped = 0
  for (const letter of letters) {
    const next = name.indexOf(letter, from)
    if (next < 0) return Infinity
    skipped += next - from
    from = next + 1
  }
  return 100 + skipped
}

export interface Group {
  prefix: string
  names: readonly string[]
}

/** What every node measures of its machine and of itself; people look for their own metrics first. */
const ownPrefixes = ['node', 'process', 'ringwell']

/** Names by their first word, the machine's and the node's own last. */
export function groupNames(names: readonly string[]): Group[] {
  const groups = new Map<string, string[]>()
  for (const name of names) {
    const prefix = name.split(/[_:]/, 1)[0]!
    const group = groups.get(prefix)
    if (group) group.push(name)
    else groups.set(prefix, [name])
  }
  return [...groups]
    .map(([prefix, members]) => ({ prefix, names: members }))
    .toSorted(
      (a, b) =>
        ownPrefixes.indexOf(a.prefix) - ownPrefixes.indexOf(b.prefix) || (a.prefix < b.prefix ? -1 : 1),
    )
}
