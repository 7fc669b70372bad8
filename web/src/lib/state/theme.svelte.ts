/** Dark, light, or as the system says; remembered in this browser. */
import { dark, light, type Palette } from '../data/palette'

export type Choice = 'system' | 'light' | 'dark'

const key = 'ringwell.theme'
const system = matchMedia('(prefers-color-scheme: dark)')

class Theme {
  #choice = $state<Choice>(remembered())
  #systemDark = $state(system.matches)

  constructor() {
    system.addEventListener('change', ({ matches }) => (this.#systemDark = matches))
    this.#apply()
  }

  get dark(): boolean {
    return this.#choice === 'system' ? this.#systemDark : this.#choice === 'dark'
  }

  get palette(): Palette {
    return this.dark ? dark : light
  }

  toggle(): void {
    this.#choice = this.dark ? 'light' : 'dark'
    try {
      localStorage.setItem(key, this.#choice)
    } catch {
      // A browser that keeps nothing still shows the theme for as long as the page is open.
    }
    this.#apply()
  }

  #apply(): void {
    if (this.#choice === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = this.#choice
  }
}

function remembered(): Choice {
  try {
    const stored = localStorage.getItem(key)
    return stored === 'light' || stored === 'dark' ? stored : 'system'
  } catch {
    return 'system'
  }
}

export const theme = new Theme()
