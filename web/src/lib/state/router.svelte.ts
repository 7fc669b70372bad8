/** The address bar as state. Links are ordinary `<a href>`; clicks on our own are taken over. */
class Router {
  path = $state(location.pathname)
  search = $state(location.search)

  constructor() {
    addEventListener('popstate', () => this.#read())
    document.addEventListener('click', (event) => this.#click(event))
  }

  go(url: string): void {
    if (url === this.path + this.search) return
    history.pushState(null, '', url)
    this.#read()
    scrollTo(0, 0)
  }

  /** The same page with other state: no new entry in the history. */
  replace(url: string): void {
    if (url === this.path + this.search) return
    history.replaceState(null, '', url)
    this.#read()
  }

  #read(): void {
    this.path = location.pathname
    this.search = location.search
  }

  #click(event: MouseEvent): void {
    const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey
    if (event.defaultPrevented || modified || event.button !== 0) return
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[href]')
    const ours = link?.origin === location.origin && !link.target && !link.pathname.startsWith('/api/')
    if (!link || !ours) return
    event.preventDefault()
    this.go(link.pathname + link.search)
  }
}

export const router = new Router()
