/**
 * The admin API as a hono app: no socket, no thread. `service.ts` gives it both.
 *
 * The path of a request: guard (who may ask), handler (which bounds the body it reads), headers that every answer carries.
 */
import { type Context, Hono } from 'hono'
import { PROMETHEUS_CONTENT_TYPE } from '../observe/prometheus.ts'
import type { ControlCalls } from './control-calls.ts'
import { readEndpointChange, unknownEndpoint } from './endpoint-change.ts'
import { readEndpointSignals } from './endpoint-signals.ts'
import { type ApiProblem, problemResponse } from './problem-response.ts'
import type { BalancerView, CallResult } from './protocol.ts'
import { type GuardRules, guard } from './request-guard.ts'
import { isReady, metricsPage, processFacts } from './scrape.ts'
import type { StatusReader } from './status.ts'
import { STATUS_PAGE_CSP, statusPage } from './status-page.ts'

/** Far more than the largest change needs. */
const BODY_BYTES = 64 * 1024
const ENDPOINTS = '/api/v1/endpoints/'

export interface ApiDeps {
  readonly view: () => BalancerView
  readonly reader: StatusReader
  readonly calls: ControlCalls
  /** By how much the service thread's own tick was late so far, in milliseconds. */
  readonly lateMs: () => number
  readonly log: (message: string) => void
}

export interface ApiOptions extends GuardRules {
  readonly allowWorkerKill: boolean
}

/** What the socket's side tells of a request. */
interface ApiEnv {
  readonly Bindings: { readonly remoteAddress: string }
}

export type Api = Hono<ApiEnv>

/** Makes the app. */
export function createApi(deps: ApiDeps, options: ApiOptions): Api {
  const { view, reader, calls } = deps
  const app = new Hono<ApiEnv>()

  app.use(async (c, next) => {
    await next()
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value)
    }
  })
  app.use(async (c, next) => {
    const request = {
      method: c.req.method,
      path: c.req.path,
      urlHost: new URL(c.req.url).host,
      header: (name: string): string | null => c.req.raw.headers.get(name),
      remoteAddress: c.env.remoteAddress,
    }
    const objection = guard(request, options, performance.now())
    return objection === null ? next() : problemResponse(objection)
  })

  app.get('/livez', (c) => c.text('ok\n'))
  app.get('/readyz', (c) => {
    const { state } = view()
    if (isReady(view())) return c.text('ok\n')
    return c.text(`${state === 'ready' ? 'no worker is running' : state}\n`, 503)
  })
  app.get('/metrics', (c) => {
    c.header('content-type', PROMETHEUS_CONTENT_TYPE)
    return c.body(metricsPage(view(), reader, processFacts(deps.lateMs() / 1000)))
  })
  app.get('/', (c) => {
    c.header('content-security-policy', STATUS_PAGE_CSP)
    return c.html(statusPage(reader.read(view(), Date.now())))
  })
  app.get('/api/v1/status', (c) => c.json(reader.read(view(), Date.now())))

  app.post('/api/v1/endpoints/:id', async (c) => {
    const id = endpointId(c)
    if (id === null) return problemResponse(BAD_ID)
    const body = await readBody(c.req.raw)
    if (body === null) return problemResponse(BODY_TOO_LARGE)
    const change = readEndpointChange(body)
    if ('title' in change) return problemResponse(change)
    const unknown = unknownEndpoint(view(), id, change.pool)
    if (unknown !== null) return problemResponse(unknown)
    return callResponse(await calls.call({ name: 'set-endpoint', id, ...change }))
  })
  for (const value of ['weight', 'state'] as const) {
    app.delete(`/api/v1/endpoints/:id/${value}`, async (c) => {
      const id = endpointId(c)
      if (id === null) return problemResponse(BAD_ID)
      const pool = c.req.query('pool') ?? null
      const unknown = unknownEndpoint(view(), id, pool)
      if (unknown !== null) return problemResponse(unknown)
      return callResponse(await calls.call({ name: 'set-endpoint', id, pool, [value]: null }))
    })
    app.all(`/api/v1/endpoints/:id/${value}`, () => problemResponse(methodNotAllowed('DELETE')))
  }
  app.put('/api/v1/endpoints/:id/signals', async (c) => {
    const id = endpointId(c)
    if (id === null) return problemResponse(BAD_ID)
    const body = await readBody(c.req.raw)
    if (body === null) return problemResponse(BODY_TOO_LARGE)
    const read = readEndpointSignals(body)
    if ('title' in read) return problemResponse(read)
    const pool = c.req.query('pool') ?? null
    const unknown = unknownEndpoint(view(), id, pool)
    if (unknown !== null) return problemResponse(unknown)
    return callResponse(await calls.call({ name: 'set-signals', id, pool, signals: read.signals }))
  })
  app.all('/api/v1/endpoints/:id/signals', () => problemResponse(methodNotAllowed('PUT')))
  app.post('/api/v1/workers/:index/kill', async (c) => {
    if (!options.allowWorkerKill) return problemResponse(KILL_NOT_ALLOWED)
    const index = /^\d{1,3}$/.test(c.req.param('index')) ? Number(c.req.param('index')) : -1
    const known = view().workers.map((worker) => worker.index)
    if (!known.includes(index)) {
      const detail = `Workers are ${known.join(', ')}.`
      return problemResponse({ status: 404, title: 'no such worker', detail })
    }
    return callResponse(await calls.call({ name: 'kill-worker', index }))
  })
  app.post('/api/v1/reload', async () => callResponse(await calls.call({ name: 'reload' })))

  for (const path of ['/', '/livez', '/readyz', '/metrics', '/api/v1/status']) {
    app.all(path, () => problemResponse(methodNotAllowed('GET, HEAD')))
  }
  for (const path of ['/api/v1/endpoints/:id', '/api/v1/workers/:index/kill', '/api/v1/reload']) {
    app.all(path, () => problemResponse(methodNotAllowed('POST')))
  }
  app.notFound(() => problemResponse(NOT_FOUND))
  app.onError((error) => {
    deps.log(`admin API: ${error.stack ?? error.message}`)
    return problemResponse(INTERNAL)
  })
  return app
}

/** On every answer, errors included. No CORS field anywhere: pages of other origins may not read. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const BODY_TOO_LARGE: ApiProblem = {
  status: 413,
  title: 'the body is too large',
  detail: `A body may have ${BODY_BYTES} bytes.`,
}
const BAD_ID: ApiProblem = {
  status: 400,
  title: 'the id is malformed',
  detail: 'The id in the path must be percent-encoded UTF-8.',
}
const KILL_NOT_ALLOWED: ApiProblem = {
  status: 403,
  title: 'killing workers is not allowed',
  detail: "Set 'admin.allowWorkerKill' in the config to allow it.",
}
const NOT_FOUND: ApiProblem = {
  status: 404,
  title: 'not found',
  detail: 'There is /api/v1/status, /metrics, /livez, /readyz and /.',
}
const INTERNAL: ApiProblem = { status: 500, title: 'something went wrong inside the admin API' }

function methodNotAllowed(allow: string): ApiProblem {
  return { status: 405, title: 'method not allowed', detail: `Allowed: ${allow}.`, headers: { allow } }
}

/** The body as text; null when it is larger than allowed, and then no more of it is read. */
async function readBody(request: Request): Promise<string | null> {
  if (request.body === null) return ''
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of request.body) {
    bytes += piece.byteLength
    if (bytes > BODY_BYTES) return null
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/** The segment after `endpoints/`, decoded once and by the standard's own rules: an id may hold a slash or a percent sign. */
function endpointId(c: Context): string | null {
  const segment = new URL(c.req.url).pathname.slice(ENDPOINTS.length).split('/', 1)[0]!
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}

/** Control answers when every worker has acknowledged. */
function callResponse(result: CallResult): Response {
  if (!result.ok) return problemResponse(result)
  const { version, endpoint } = result
  return new Response(`${JSON.stringify({ version, ...endpoint })}\n`, {
    headers: { 'content-type': 'application/json' },
  })
}
