/** The time in seconds, once a second, for every window that ends now. Stands still while the page is hidden. */
class Clock {
  /** When the page was opened. */
  readonly start = Date.now() / 1000
  now = $state(Date.now() / 1000)

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now() / 1000
    }, 1000)
  }
}

export const clock = new Clock()
