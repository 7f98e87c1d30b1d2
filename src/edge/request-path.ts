/**
 * The request path. What happens to a request, in order, and why each step stands where it does:
 *
 *  1. accept       listener.ts              limits come first: a connection that may not be here costs nothing more
 *  2. head         http1-request-reader.ts  parsed strictly, before anything believes a byte of it
 *  3. refuse       here                     what no route could serve: CONNECT, loops, paths that escape, bodies over the limit
 *  4. route        route-table.ts           on the normal form of host and path, so that no spelling slips past a rule
 *  5. forward      forwarded.ts             the head as the endpoint will see it; written once, kept for a replay
 *  6. pick         pick-endpoint.ts         as late as possible: on the fitness and load of this moment
 *  7. attempt      attempt.ts               a kept connection or a new one (upstream-connections.ts), then the head is sent
 *  8. relay        exchange.ts              both bodies at once, each waiting for its slower side
 *  9. retry        retry.ts                 only while nothing of the answer was sent
 * 10. answer       respond.ts               the one place where an error becomes a response
 * 11. record       record-metrics.ts        counters and the access log, when it is over
 *
 * Steps 3 to 7 run without a pause within the event that completed the head, while the parser's view of it is valid.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { FieldFlag, FieldId, IS_HOP } from '../http1/fields.ts'
import { Framing, MethodId, type RequestHead, TargetFlag } from '../http1/head.ts'
import { normalPath } from '../http1/target.ts'
import { writeRequestHead } from '../http1/write-request.ts'
import { Counter } from '../observe/counters.ts'
import { Attempt } from './attempt.ts'
import type { WorkerContext } from './context.ts'
import type { Exchange } from './exchange.ts'
import { EXPLAIN_FIELD, explanationText } from './explain-field.ts'
import { cutFor, forwardedFields, isLoop, requestIdOf } from './forwarded.ts'
import type { WorkerEndpoint, WorkerPool } from './pick-endpoint.ts'
import { failExchange } from './respond.ts'

/** How often a pick may turn out to be stale or full before the exchange is refused. */
const MAX_TURNS = 16
const ESCAPING = TargetFlag.BACKSLASH | TargetFlag.DOT_SEGMENT | TargetFlag.PERCENT

/** Steps 3 to 5. True when an attempt may be started; else the exchange was answered. */
export function handleRequest(context: WorkerContext, exchange: Exchange, head: RequestHead): boolean {
  const { downstream } = exchange
  // '' where it is plain: then only a route that looks at paths has it made.
  const path = (head.targetFlags & ESCAPING) !== 0 ? normalPath(head) : ''
  const refusal = refusalOf(context, exchange, head, path)
  if (refusal >= 0) {
    exchange.requestId = context.requestIds.make()
    failExchange(exchange, refusal)
    return false
  }
  const requestId = requestIdOf(downstream, head, context.requestIds)
  exchange.requestId = requestId
  const fields = forwardedFields(downstream, head, context.identity, requestId)
  const route = downstream.listener.routes.match(head, downstream.isTrusted, path ?? '')
  if (route === null) {
    failExchange(exchange, ERROR_INDEX.EK_NO_ROUTE)
    return false
  }
  exchange.route = route
  const { pool } = route
  exchange.pool = pool
  if (pool.keyOf !== null) exchange.hashKey = pool.keyOf(head, downstream)
  if (downstream.isTrusted && asksWhy(head)) exchange.explanation = ''
  const added = hopFields(exchange, head)
  exchange.lacksHost = head.authorityStart === head.authorityEnd
  exchange.upstreamHead = writeRequestHead(head, cutFor(downstream, head.versionMinor), added + fields)
  return true
}

/** Steps 6 and 7, again for every further attempt. */
export function startAttempt(exchange: Exchange): void {
  const { context } = exchange
  const pool = exchange.pool!
  let wasFull = false
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const endpoint = exchange.explanation === null ? pool.pickEndpoint(exchange) : pickAndExplain(exchange, pool)
    if (endpoint === null) {
      const why = wasFull ? ERROR_INDEX.EK_NO_CAPACITY : pool.whyNone(exchange)
      return failExchange(exchange, exchange.lastError >= 0 ? exchange.lastError : why)
    }
    exchange.noteTried(endpoint.slot)
    const { index, table, timers } = context
    if (!table.acquire(index, endpoint.slot, endpoint.generation)) continue
    const nowMs = exchange.attempts === 1 ? exchange.startedAt : timers.clock()
    const attempt = exchange.takeSpareAttempt() ?? new Attempt(exchange)
    attempt.begin(endpoint, nowMs)
    exchange.attempt = attempt
    exchange.endpointId = endpoint.id
    const { lastError } = exchange
    if (endpoint.connections.reuseOrConnect(attempt)) {
      if (lastError >= 0) countRepetition(context, endpoint, lastError)
      // Behind the request, which does not wait for it.
      pool.prober?.ask()
      return
    }
    // Another worker took the last place between the pick and now.
    wasFull = true
    exchange.attempt = null
    attempt.cancel()
  }
  failExchange(exchange, ERROR_INDEX.EK_NO_CAPACITY)
}

/** Picks, and notes why for the answer: of several attempts the last. */
function pickAndExplain(exchange: Exchange, pool: WorkerPool): WorkerEndpoint | null {
  const { endpoint, told } = pool.explainPick(exchange)
  exchange.explanation = explanationText(pool, told, exchange)
  return endpoint
}

/** `x-evenkeel-explain: 1` */
function asksWhy(head: RequestHead): boolean {
  const index = head.find(EXPLAIN_FIELD)
  return index >= 0 && head.value(index) === '1'
}

function countRepetition(context: WorkerContext, endpoint: WorkerEndpoint, error: number): void {
  context.counters[Counter.RETRIES]! += 1
  if (error === ERROR_INDEX.EK_REUSED_CLOSED) context.counters[Counter.REPLAYS]! += 1
  context.table.recordRetry(context.index, endpoint.slot, endpoint.generation)
}

/** The `ERROR_INDEX` for which the request is refused whatever the routes say, -1 for none. */
function refusalOf(context: WorkerContext, exchange: Exchange, head: RequestHead, path: string | null): number {
  if (head.method === MethodId.CONNECT) return ERROR_INDEX.EK_CONNECT_METHOD
  if (path === null) return ERROR_INDEX.EK_BAD_PATH
  const { bodyBytes } = exchange.downstream.listener.plan.limits
  if (bodyBytes > 0 && head.framing === Framing.LENGTH && head.contentLength > bodyBytes)
    return ERROR_INDEX.EK_BODY_TOO_LARGE
  if (head.regular) return -1
  if (isLoop(head, context.identity.via)) return ERROR_INDEX.EK_LOOP
  if (hidesAny(head, exchange.downstream.listener.routes.headerNames)) return ERROR_INDEX.EK_BAD_CONNECTION
  return -1
}

/** Does Connection name a field that routes match on? It would choose the way and then be cut off. */
function hidesAny(head: RequestHead, names: readonly string[]): boolean {
  for (const name of names)
    for (let i = head.find(name); i >= 0; i = head.find(name, i + 1))
      if ((head.flags[i]! & FieldFlag.HOP) !== 0 && IS_HOP[head.id[i]!] !== 1) return true
  return false
}

/** The fields of this hop that we write ourselves, in their one normal form. */
function hopFields(exchange: Exchange, head: RequestHead): string {
  const framing = head.framing === Framing.CHUNKED ? 'transfer-encoding: chunked\r\n' : ''
  if (head.regular) return framing
  if (head.upgrade) exchange.upgrade = offeredProtocols(head)
  const takesTrailers = acceptsTrailers(head)
  const options = exchange.upgrade === '' ? 'te' : takesTrailers ? 'upgrade, te' : 'upgrade'
  let text = framing
  if (exchange.upgrade !== '' || takesTrailers) text += `connection: ${options}\r\n`
  if (exchange.upgrade !== '') text += `upgrade: ${exchange.upgrade}\r\n`
  return takesTrailers ? `${text}te: trailers\r\n` : text
}

/** What the client offers to switch to. Not h2c: the requests inside would go past routes, limits and logs. */
function offeredProtocols(head: RequestHead): string {
  const offered: string[] = []
  for (let i = 0; i < head.count; i++)
    if (head.id[i] === FieldId.UPGRADE)
      for (const protocol of head.value(i).split(',')) {
        const name = protocol.trim()
        if (name !== '' && name.toLowerCase() !== 'h2c') offered.push(name)
      }
  return offered.join(', ')
}

function acceptsTrailers(head: RequestHead): boolean {
  for (let i = 0; i < head.count; i++)
    if (head.id[i] === FieldId.TE && /(?:^|,)\s*trailers\s*(?:,|$)/i.test(head.value(i))) return true
  return false
}
