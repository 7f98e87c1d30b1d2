/** What the admin API asks of control, answered in its words. */
import { formatProblem } from '../config/problem.ts'
import type { CallResult, ServiceCall } from '../service/protocol.ts'
import type { Balancer, BalancerOptions, ControlRefusal, ControlResult } from './balancer.ts'

/** Carries a call out. Never rejects. */
export async function answerCall(
  call: ServiceCall,
  balancer: Pick<Balancer, 'setEndpoint' | 'setSignals' | 'killWorker'>,
  onReloadCall: BalancerOptions['onReloadCall'],
): Promise<CallResult> {
  try {
    switch (call.name) {
      case 'set-endpoint': {
        const { name: _, ...change } = call
        return resultOf(await balancer.setEndpoint(change))
      }
      case 'set-signals': {
        const { name: _, ...signals } = call
        return resultOf(balancer.setSignals(signals))
      }
      case 'kill-worker':
        return resultOf(await balancer.killWorker(call.index))
      case 'reload':
        return await answerReload(onReloadCall)
    }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { ok: false, status: 500, title: 'it failed inside the balancer', detail }
  }
}

async function answerReload(onReloadCall: BalancerOptions['onReloadCall']): Promise<CallResult> {
  if (onReloadCall === undefined) {
    const detail = 'This balancer was not started from a config file.'
    return { ok: false, status: 409, title: 'there is nothing to reload', detail }
  }
  const result = await onReloadCall()
  if (result.ok) return { ok: true, version: result.version }
  const title = 'the config was refused, the one before is in force'
  return { ok: false, status: 422, title, detail: result.problems.map(formatProblem).join('\n') }
}

const REFUSALS: Readonly<Record<ControlRefusal, { readonly status: number; readonly title: string }>> = {
  'not-found': { status: 404, title: 'not found' },
  ambiguous: { status: 409, title: 'more than one endpoint has this id' },
  'bad-value': { status: 400, title: 'a value cannot be used' },
  'not-running': { status: 409, title: 'not running' },
  late: { status: 504, title: 'a worker has not acknowledged in time' },
}

function resultOf(result: ControlResult): CallResult {
  return result.ok ? result : { ok: false, ...REFUSALS[result.code], detail: result.message }
}
