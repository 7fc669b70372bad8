/** This tab's one live connection, and how it is doing. */
import { Live, type Socket, type Status } from '../api/live'

/** A hidden page keeps its socket this long, so that a glance at another tab costs nothing. */
const hiddenFor = 5_000

class Connection {
  status = $state<Status>('idle')
}

export const connection = new Connection()

export const live = new Live({
  connect: () => new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/live`) as Socket,
  later: (task, milliseconds) => setTimeout(task, milliseconds),
  cancel: (timer) => clearTimeout(timer as number),
  random: Math.random,
  status: (status) => (connection.status = status),
})

let hiding: ReturnType<typeof setTimeout> | undefined
document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding)
  if (document.hidden) hiding = setTimeout(() => live.pause(), hiddenFor)
  else live.resume()
})
