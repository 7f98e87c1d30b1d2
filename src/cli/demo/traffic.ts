/**
 * The demo's own light traffic, in a thread of its own so that the control thread stays free: about 20 requests per
 * second over a few kept-alive connections, swelling and ebbing so that there is something to see.
 */
import { Agent, request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread is started with. */
export interface TrafficBoot {
  readonly port: number
  readonly isOn: boolean
}

/** Main → thread. */
export type TrafficCommand = { readonly type: 'on' | 'off' }

const MEAN_PER_SECOND = 20
const SWELL_PERIOD_MS = 24_000
/** Requests that may run at once: a balancer that stands still is not buried. */
const MOST_AT_ONCE = 32

const { port, isOn: isOnAtFirst } = workerData as TrafficBoot
const agent = new Agent({ keepAlive: true, maxSockets: MOST_AT_ONCE })
let isOn = isOnAtFirst
let running = 0

parentPort!.on('message', ({ type }: TrafficCommand) => {
  isOn = type === 'on'
})

function next(): void {
  if (isOn && running < MOST_AT_ONCE) ask()
  const swell = 1 + 0.5 * Math.sin((2 * Math.PI * Date.now()) / SWELL_PERIOD_MS)
  // Exponential gaps: requests come as from many independent people.
  setTimeout(next, (-Math.log(1 - Math.random()) * 1000) / (MEAN_PER_SECOND * swell))
}

function ask(): void {
  running++
  const asking = request({
    host: '127.0.0.1',
    port,
    path: '/',
    agent,
    headers: { 'user-agent': 'evenkeel-demo', accept: 'application/json' },
  })
  asking.on('response', (response) => response.resume())
  // Failures are the balancer's to count; here they only must not end the thread.
  asking.on('error', () => {})
  asking.once('close', () => {
    running--
  })
  asking.end()
}

next()
