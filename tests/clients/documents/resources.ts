const health = await fetch(`${taskServiceUrl}/api/v1/health`)
const { queue_sizes, system_load } = await health.json()

if (queue_sizes.gpu_heavy > 10) {
  // Warn user about delays or defer non-critical tasks
}
