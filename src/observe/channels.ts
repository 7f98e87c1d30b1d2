/**
 * What happens on the control side, told through `node:diagnostics_channel`: an embedding program or an exporter subscribes
 * by name, without a reference to a balancer, and nothing is built or called while nobody listens.
 *
 * Channels belong to the thread that publishes: control publishes all of these. A subscriber runs synchronously in it, so it
 * has to be short; one that throws is reported by Node as an uncaught exception, never to the publisher.
 */
import diagnostics from 'node:diagnostics_channel'

/** A named channel whose messages have one type. */
export interface EventChannel<Context> {
  readonly name: string
  /** Tells subscribers; `describe` runs only when there is one. */
  publish(describe: () => Context): void
  /** Calls `listener` for each message until the returned function is called. */
  subscribe(listener: (context: Context) => void): () => void
}

/** A worker died, hung or filled its memory, and another takes its place. */
export interface WorkerReplaced {
  /** Tells balancers in one process apart: the `pid` and the start time do not. */
  readonly balancer: string
  readonly worker: number
  readonly reason: 'error' | 'exit' | 'hang' | 'memory' | 'killed'
  readonly detail: string
  /** Times this worker was replaced, this one included. */
  readonly restarts: number
  /** Pause before the next one starts. */
  readonly delayMs: number
}

/** An endpoint became fit or unfit, or somebody changed it. */
export interface EndpointChanged {
  readonly balancer: string
  readonly pool: string
  readonly endpoint: string
  /** `check`: a health check decided; `passive`: live traffic did; `admin`: the API; `config`: a reload. */
  readonly cause: 'check' | 'passive' | 'admin' | 'config'
  readonly change: 'added' | 'removed' | 'fit' | 'unfit' | 'weight' | 'state'
  readonly detail: string
}

/** A new config was applied, or refused and the old one kept. */
export interface Reloaded {
  readonly balancer: string
  readonly ok: boolean
  readonly file: string | null
  /** Of the config that is live afterwards. */
  readonly hash: string
  /** Settings that changed, or problems that prevented it; one line each. */
  readonly details: readonly string[]
  readonly durationMs: number
}

export const workerReplaced = eventChannel<WorkerReplaced>('evenkeel:worker:replaced')
export const endpointChanged = eventChannel<EndpointChanged>('evenkeel:endpoint:changed')
export const reloaded = eventChannel<Reloaded>('evenkeel:config:reloaded')

/** Every channel's name, for whoever wants all of them. */
export const CHANNEL_NAMES: readonly string[] = [workerReplaced.name, endpointChanged.name, reloaded.name]

function eventChannel<Context>(name: string): EventChannel<Context> {
  const channel = diagnostics.channel(name)
  return {
    name,
    publish(describe) {
      if (channel.hasSubscribers) channel.publish(describe())
    },
    subscribe(listener) {
      const onMessage = (message: unknown): void => listener(message as Context)
      diagnostics.subscribe(name, onMessage)
      return () => {
        diagnostics.unsubscribe(name, onMessage)
      }
    },
  }
}
