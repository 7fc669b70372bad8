/** What the node says about itself; asked once, and again after the live connection was lost. */
import { errorText, nodeInfo, stopDemo, type NodeInfo } from '../api/prom'

class Node {
  info = $state.raw<NodeInfo>()
  error = $state<string>()

  async load(): Promise<void> {
    try {
      this.info = await nodeInfo()
      this.error = undefined
    } catch (error) {
      this.error = errorText(error)
    }
  }

  async stopDemo(): Promise<void> {
    await stopDemo()
    await this.load()
  }
}

export const node = new Node()
