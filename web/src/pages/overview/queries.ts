/**
 * What the Overview asks. The names are those of the built-in keymap and of the node's own collectors; a section whose
 * names yield nothing is not shown.
 */
const gpu = (quantity: string) => `max by (gpu) ({__name__=~"gpu_(current_)?${quantity}",gpu!=""})`

export const fleet = {
  loss: 'training_loss',
  wer: 'training_wer',
  duration: 'avg by (agent) (avg_over_time(tasks_completion_duration_seconds[10m]))',
  tasksDone: 'sum(count_over_time(tasks_completion_duration_seconds[5m])) * 12',
  currentTasks: 'sum by (agent) (agent_current_tasks)',
  errorRate: 'avg by (agent) (agent_error_rate_percent)',
  completed: 'sum by (agent) (agent_tasks_completed_total)',
  gpuTemperature: gpu('temperature(_celsius)?'),
  gpuUtilization: gpu('utilization(_percent)?'),
  gpuMemory: gpu('memory_used(_mb)?'),
  gpuPower: gpu('power(_draw)?_watts'),
} as const

/** The machine the node runs on: other machines' exporters may send the same names with another instance. */
const virtualFiles = 'fstype!~"tmpfs|devtmpfs|overlay|squashfs|ramfs|proc|sysfs"'

export function host(instance: string) {
  const self = `job="node",instance=${JSON.stringify(instance)}`
  const network = `${self},device!~"lo|veth.*|docker.*|br-.*"`
  return {
    cpu: `100 * (1 - avg(rate(node_cpu_seconds_total{${self},mode="idle"}[30s])))`,
    memory: `100 * (1 - node_memory_MemAvailable_bytes{${self}} / node_memory_MemTotal_bytes{${self}})`,
    load: `node_load1{${self}}`,
    disk: `100 * (1 - max by (mountpoint, device) (node_filesystem_avail_bytes{${self},${virtualFiles}}) / max by (mountpoint, device) (node_filesystem_size_bytes{${self}}))`,
    diskSize: `max by (mountpoint, device) (node_filesystem_size_bytes{${self},${virtualFiles}})`,
    received: `sum(rate(node_network_receive_bytes_total{${network}}[30s]))`,
    sent: `sum(rate(node_network_transmit_bytes_total{${network}}[30s]))`,
  }
}

export const self = {
  ingest: 'sum(rate(ringwell_store_samples_total[30s]))',
  series: 'sum(ringwell_store_series)',
  keys: 'sum(ringwell_store_keys)',
  log: 'sum(rate(ringwell_wal_bytes_total[30s]))',
  blocks: 'sum(ringwell_store_block_bytes)',
  memory: 'process_resident_memory_bytes{job="ringwell"}',
} as const
