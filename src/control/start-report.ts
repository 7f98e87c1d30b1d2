/** What a person is told once a balancer serves, and what a reload cannot change while it does. */
import type { Settings } from '../config/schema.ts'
import { isEveryInterface } from '../core/address.ts'
import type { MemorySizes } from '../memory/shared-memory.ts'
import type { Plan } from '../pool/plan.ts'
import type { StartReport } from './balancer.ts'

/** The listeners as they are. */
export function listenerReports(plan: Plan): StartReport['listeners'] {
  return plan.listeners.map(({ name, address }) => ({ name, address, everyInterface: isEveryInterface(address) }))
}

/** Sentences about what works less well than was probably meant. */
export function startWarnings(
  plan: Plan,
  workers: number,
  unresolved: readonly { readonly id: string; readonly detail: string }[],
): string[] {
  const warnings: string[] = []
  const alone = plan.listeners.filter(({ reusePort }) => !reusePort).map(({ name }) => `'${name}'`)
  if (workers > 1 && alone.length > 0) {
    warnings.push(
      `worker 0 alone listens on ${alone.join(', ')}, which threads cannot share; ${workers} workers are configured`,
    )
  }
  for (const { id, detail } of unresolved) warnings.push(`endpoint '${id}': ${detail}`)
  if (process.getuid?.() === 0) {
    const low = plan.listeners.flatMap(({ address }) =>
      address.kind === 'ip' && address.port > 0 && address.port < 1024 ? address.port : [],
    )
    const need = low.length === 0 ? 'which no port here needs' : `which port ${low[0]} alone does not need`
    const how = low.length === 0 ? '' : ' with CAP_NET_BIND_SERVICE'
    warnings.push(`it runs as root, ${need}: run it as a user of its own${how}`)
  }
  return warnings
}

/** What differs from the sizes that were fixed at the start. */
export function restartWarnings(settings: Settings, workers: number, sizes: MemorySizes): string[] {
  const later = 'a change takes effect at the next start'
  const warnings: string[] = []
  if (workers !== sizes.workers) {
    warnings.push(`${workers} workers are configured and ${sizes.workers} run: ${later}`)
  }
  for (const part of ['endpoints', 'addresses'] as const) {
    if (settings.memory[part] === sizes[part]) continue
    warnings.push(`memory.${part} is ${settings.memory[part]} and there is room for ${sizes[part]}: ${later}`)
  }
  return warnings
}
