/** Keys that work on every page. A letter pressed while somebody types is text, not a shortcut. */
export interface Shortcut {
  keys: string
  title: string
}

export const listed: readonly Shortcut[] = [
  { keys: '⌘ K · Ctrl K', title: 'Search pages and metrics' },
  { keys: 'g o', title: 'Overview' },
  { keys: 'g e', title: 'Explore' },
  { keys: 't', title: 'Dark or light' },
  { keys: '/', title: 'Write a query (Explore)' },
  { keys: 'Enter · Ctrl Enter', title: 'Run the query (in the editor)' },
  { keys: 'Shift Enter', title: 'New line (in the editor)' },
  { keys: '?', title: 'This list' },
]

export interface Actions {
  search: () => void
  help: () => void
  theme: () => void
  go: (path: string) => void
  query: () => void
}

const jumps: Readonly<Record<string, string>> = { o: '/', e: '/explore' }

export function handleKeys(actions: Actions): (event: KeyboardEvent) => void {
  let jumping = 0
  return (event) => {
    const { key, metaKey, ctrlKey, altKey } = event
    if ((metaKey || ctrlKey) && !altKey && key.toLowerCase() === 'k') return run(event, actions.search)
    if (metaKey || ctrlKey || altKey || isTyping(event.target)) return
    const target = jumps[key]
    if (target && event.timeStamp - jumping < 1500) {
      jumping = 0
      return run(event, () => actions.go(target))
    }
    jumping = key === 'g' ? event.timeStamp : 0
    if (key === '?') run(event, actions.help)
    else if (key === 't') run(event, actions.theme)
    else if (key === '/') run(event, actions.query)
  }
}

function run(event: KeyboardEvent, action: () => void): void {
  event.preventDefault()
  action()
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || !!target.closest('input, textarea, select, dialog[open]'))
  )
}
