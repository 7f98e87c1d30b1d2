/**
 * The one schema of a config: its type, its defaults, its check, the JSON Schema and the reference page come from here.
 *
 * The description of a field is its manual: meaning, unit, range, default, interaction, hazard. The unit is the end of
 * the name (`Ms`, `Bytes`), range and default are added to the reference by the generator, so the text says the rest.
 * What needs several fields at once (does the route's pool exist?) is in cross-checks.ts.
 */
import { z } from 'zod'
import type { Reading } from '../core/address.ts'
import { parseBind, parseBlock, parseEndpointUrl } from '../core/address.ts'
import { HASH_FUNCTIONS } from '../core/hash/registry.ts'
import { parseRequestKey } from '../core/hash/request-key.ts'
import { SIGNAL_PATH } from '../core/signals/json-path.ts'
import { normalise } from './normalise.ts'
import {
  parseFieldName,
  parseFieldValue,
  parseHostPattern,
  parseMethod,
  parsePathPattern,
  parseStatusRange,
} from './patterns.ts'
import { PICKER_NAMES, pickerHint } from './picker-names.ts'

/** The version of the config's shape that this program reads. */
export const CONFIG_VERSION = 1

/** The longest a timer may run: the largest delay of a 32-bit timer, about 24.8 days. */
const MAX_MS = 2_147_483_647
const MAX_BYTES = Number.MAX_SAFE_INTEGER

const listenerLimits = z
  .strictObject({
    requestLineBytes: bytes(8192, 64, 1_048_576).describe(
      'Longest request line: method, target and version. A longer one is answered 414 and the connection closed. Must not exceed `headBytes`.',
    ),
    headBytes: bytes(32_768, 256, 1_048_576).describe(
      'Largest request head: request line and all fields. A larger one is answered 431 and the connection closed. Each connection whose head arrives in pieces may hold this much memory, so raise it with `connections` in mind.',
    ),
    fieldCount: count(100, 1, 2000).describe('Most fields in a request head. More are answered 431.'),
    bodyBytes: bytes(0, 0, MAX_BYTES).describe(
      'Largest request body. A larger one is answered 413: at once when Content-Length says so, else when the limit is crossed. 0: no limit (bodies are never held in memory, so this protects endpoints, not the balancer).',
    ),
    connections: count(10_000, 1, 10_000_000).describe(
      'Most open connections on this listener over all workers. A further one is answered 503 and closed. The limit of open files (`ulimit -n`) must allow twice as many.',
    ),
    connectionsPerAddress: count(1024, 0, 10_000_000).describe(
      'Most open connections from one client address over all workers; an IPv6 client counts by its /64. A further one is answered 429 and closed. 0: no limit. Hazard: clients behind one proxy or NAT share an address; list such proxies in `perAddressExempt`.',
    ),
    perAddressExempt: z
      .array(text(parseBlock))
      .default(['127.0.0.0/8', '::1/128'])
      .describe(
        'Address blocks that `connectionsPerAddress` does not count, as `10.0.0.0/8`, `2001:db8::/32` or one address.',
      ),
    requestsPerConnection: count(0, 0, 1_000_000_000).describe(
      'Requests on one connection before it is closed after the answer, so that clients spread over workers and instances again. 0: no limit.',
    ),
  })
  .prefault({})
  .describe('What a client may take. Everything over a limit is refused with its own error and counted.')

const listenerTimeouts = z
  .strictObject({
    headMs: ms(10_000, 10).describe(
      'From the first byte of a request until its head is complete. Then 408 and the connection is closed. It runs from the beginning, not from the last byte: a client that sends a byte at a time gains nothing.',
    ),
    bodyIdleMs: ms(30_000, 10).describe('Longest pause in a request body. Then 408 and the connection is closed.'),
    sendIdleMs: ms(30_000, 10).describe(
      'Longest time a client may read nothing while an answer waits for it. Then the connection is cut.',
    ),
    keepAliveMs: ms(75_000).describe(
      'How long an idle connection stays open between requests. 0: no limit (`limits.requestsPerConnection: 1` closes after each answer).',
    ),
    tunnelIdleMs: ms(3_600_000).describe(
      'How long a tunnel (WebSocket) may carry nothing in either direction. 0: for ever. WebSocket servers that ping keep theirs open.',
    ),
    exchangeMs: ms(0).describe(
      'Longest whole exchange, from the complete request head to the last byte of the answer; then 504, or the connection is cut when the answer has begun. 0: no limit. Hazard: it also ends long downloads and event streams; tunnels are exempt.',
    ),
    halfCloseMs: ms(5000).describe(
      'How long an exchange may go on after the client closed its sending side (some clients do so and still read). 0: it is given up at once. In a tunnel it is the longest silence from then on, 0: `tunnelIdleMs` as before.',
    ),
  })
  .prefault({})
  .describe('How long a client may take.')

const listener = z
  .strictObject({
    name: name()
      .optional()
      .describe(
        'What routes, metrics and logs call it. Default: the text of `bind`. State is kept by this name over reloads.',
      ),
    bind: text(parseBind).describe(
      "Where to listen. `':8080'` and `'[::]:8080'`: every address of both families; `'0.0.0.0:8080'`: every IPv4 address; `'127.0.0.1:8080'` or `'localhost:8080'`: this machine only; `'unix:/run/evenkeel.sock'`: a unix socket (one worker listens). Port 0: the kernel chooses.",
    ),
    protocol: z
      .literal('http')
      .default('http')
      .describe('What is spoken: `http` (HTTP/1.0 and HTTP/1.1, with upgrades to WebSocket).'),
    trustedProxies: z
      .array(text(parseBlock))
      .default([])
      .describe(
        'Address blocks of the proxies in front of this one. From them, `X-Forwarded-*`, `Forwarded`, `X-Real-IP` and `X-Request-Id` are believed and added to; from anyone else they are removed. Hazard: whoever is listed can claim any client address.',
      ),
    limits: listenerLimits,
    timeouts: listenerTimeouts,
  })
  .meta({ title: 'Listener' })

const route = z
  .strictObject({
    name: name()
      .optional()
      .describe(
        'What metrics and logs call it. Default: `route-N`, N being its position from 1: name routes that you mean to move.',
      ),
    match: z
      .strictObject({
        listener: z
          .string()
          .min(1)
          .optional()
          .describe('Name of the listener that the request came in by. Absent: any.'),
        host: oneOrMore(text(parseHostPattern))
          .optional()
          .describe(
            'Host, compared without port and case: exact, or `*.example.com` for every name below (one label or more, not `example.com` itself). Absent: any. A request of HTTP/1.0 without Host matches only routes without `host`.',
          ),
        path: oneOrMore(text(parsePathPattern))
          .optional()
          .describe(
            'Path without query, in normal form (dot segments removed, unreserved escapes decoded): `/exact`, `/prefix/*` for everything below (not `/prefix` itself: write both), or a glob with `*` within a segment and `**` across segments. Absent: any.',
          ),
        method: oneOrMore(text(parseMethod))
          .optional()
          .describe('Method, case-sensitive: `GET`. Absent: any. `GET` does not include `HEAD`.'),
        headers: z
          .record(text(parseFieldName), z.union([text(parseFieldValue), z.literal(true)]))
          .optional()
          .describe(
            'Header fields that must be there: a text must be equal to the whole value, `true` asks for presence only. All must match.',
          ),
      })
      .prefault({})
      .describe('What a request must look like; every key given must match. Absent or `{}`: every request.'),
    pool: z.string().min(1).describe('Name of the pool that gets the request.'),
  })
  .meta({ title: 'Route' })

const endpoint = z
  .strictObject({
    url: text(parseEndpointUrl).describe(
      "Where it is: `'http://host:port'` (port 80 when left out), `'http://[::1]:8080'`, or `'unix:/path.sock'`. No path: the request brings its own.",
    ),
    id: z
      .string()
      .regex(/^[\x21-\x7e]{1,128}$/, 'an id is 1 to 128 visible ASCII characters without spaces')
      .optional()
      .describe(
        'What the API, metrics and logs call it; unique in its pool. Default: `host:port`, or the path of the socket. Learnt state follows the id.',
      ),
    weight: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(1)
      .describe(
        'Share of the work relative to the others of the pool; fractions are fine. 0: gets no new requests, as if draining.',
      ),
    zone: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Where it runs, as a name. Shown; with `instance.zone` what is near is preferred (`balance.tiersAndZones`).',
      ),
    tier: z
      .int()
      .min(0)
      .max(15)
      .default(0)
      .describe(
        'Priority: tier 0 is used first, the next one as far as too few of those before are fit (`balance.tiersAndZones`).',
      ),
    maxConnections: count(0, 0, 10_000_000).describe(
      'Most connections to this endpoint over all workers. 0: what the pool says in `connections.max`.',
    ),
    state: z
      .enum(['active', 'draining', 'maintenance'])
      .default('active')
      .describe(
        '`active`: gets requests when healthy. `draining`: finishes what it has and gets nothing new. `maintenance`: the same, and is not health-checked.',
      ),
  })
  .meta({ title: 'Endpoint' })

const healthCheck = z
  .strictObject({
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, "a check's path begins with '/' and has no spaces")
      .default('/')
      .describe('Target of the check, query included.'),
    intervalMs: ms(5000, 100).describe(
      'From the beginning of one check of an endpoint to the next, with a little jitter.',
    ),
    timeoutMs: ms(2000, 10).describe('How long an answer may take. Keep it below `intervalMs`.'),
    rise: count(2, 1, 100).describe('Good checks in a row that make an unhealthy endpoint fit again.'),
    fall: count(2, 1, 100).describe(
      'Bad checks in a row that make an endpoint unfit. The first check after start counts alone, so that a dead endpoint is known at once.',
    ),
    statuses: z
      .array(text(parseStatusRange))
      .min(1)
      .default(['200-399'])
      .describe('Statuses that are good: `200`, `200-399` or `2xx`.'),
    method: z.enum(['GET', 'HEAD', 'OPTIONS']).default('GET').describe('Method of the check.'),
    headers: z
      .record(text(parseFieldName), text(parseFieldValue))
      .default({})
      .describe('Further header fields of the check.'),
    host: text(parseCheckHost)
      .optional()
      .describe("Host of the check, for servers that serve several names. Default: the endpoint's own host and port."),
    signals: z
      .record(
        z.string().regex(/^[!-~]{1,128}$/, "a signal's name is 1 to 128 visible ASCII characters without spaces"),
        z
          .string()
          .regex(
            SIGNAL_PATH,
            "where a signal stands is '$' and then keys and indices: '$.load.cpu', '$.disks[0].busy'",
          ),
      )
      .refine((signals) => Object.keys(signals).length <= 16, 'at most 16 signals')
      .default({})
      .describe(
        'What the check\'s answer says of the endpoint\'s load, for pickers that go by signals (`resource`, `adaptive`, `orca`): signal by name, and where its number stands in a JSON body of at most 64 KiB, as `{ cpu: "$.cpu", memory: "$.load[0]" }`. Names: `cpu`, `memory`, `utilization` (0 to 1), `rps`, `eps`, `capacity`, `reliability`, `proximity`, and what a picker\'s `metrics` name. A good status counts whatever the body says; a number that is not there leaves the signal to age. Needs `method: GET`.',
      ),
  })
  .meta({ title: 'Health check' })

/** What stands beside the picker's own options in `balance`. Ranges are those of the modifiers in core/balance/modifiers. */
const modifiers = {
  slowStart: z
    .strictObject({
      windowMs: z
        .int()
        .min(1)
        .max(86_400_000)
        .describe('How long it takes until an endpoint that joins or recovers has its full weight.'),
      aggression: z
        .number()
        .min(0.1)
        .max(10)
        .default(1)
        .describe('1: the weight grows in a straight line; above: fast at first; below: slowly at first.'),
      minShare: z.number().min(0.001).max(1).default(0.1).describe('The share of its weight with which it begins.'),
    })
    .optional()
    .describe(
      'An endpoint that joins or recovers gets its weight little by little. Those there at the start have all of it.',
    ),
  boundedLoad: z
    .strictObject({
      factor: z
        .number()
        .min(1)
        .max(100)
        .default(1.25)
        .describe('How far above its fair share of what is in flight an endpoint may go.'),
    })
    .optional()
    .describe("For pickers by key: what is too much for a popular key's endpoint goes to the next in the key's order."),
  panic: z
    .strictObject({
      threshold: z
        .number()
        .min(0)
        .max(1)
        .describe('Health is ignored while a smaller share of the endpoints with weight is healthy. 0: never.'),
    })
    .optional()
    .describe('For large fleets: when so many fail at once, the check is more likely wrong than they are dead.'),
  subset: z
    .strictObject({
      size: z.int().min(1).max(1_000_000).describe('Endpoints that this balancer uses, while so many are fit.'),
      perEndpoint: z
        .number()
        .min(0.1)
        .max(1_000_000)
        .optional()
        .describe('Requests in flight per endpoint and worker above which it uses more. Absent: it never does.'),
    })
    .optional()
    .describe('Only some of the endpoints are used, others on each instance (by `instance.name`).'),
  tiersAndZones: z
    .union([
      z.literal(false),
      z.strictObject({
        overprovisioning: z
          .number()
          .min(1)
          .max(10)
          .default(1.4)
          .describe('What is fit counts as so many times itself before anything spills to the next tier or zone.'),
        callers: z
          .record(z.string(), z.number().min(0).max(1_000_000))
          .optional()
          .describe(
            'How the requests of all balancers spread over zones, as numbers in proportion. Absent: the same in every zone with endpoints.',
          ),
      }),
    ])
    .optional()
    .describe(
      'Priority tiers and zones with spillover. Absent: when an endpoint of the pool has a `tier` above 0, or a `zone` while `instance.zone` is set. `false`: neither counts. Each group of endpoints has a rotation of its own in each worker.',
    ),
  passReports: z
    .boolean()
    .optional()
    .describe(
      'Pickers that go by signals read `endpoint-load-metrics` in answers and do not pass it on to clients; `true` passes it on.',
    ),
  probePath: z
    .string()
    .regex(/^\/[\x21-\x7e]{0,1023}$/, "a probe's path begins with '/', has no spaces and at most 1024 characters")
    .optional()
    .describe(
      'For pickers that ask endpoints (`prequal`): target of the probe, query included. It is answered with 200 and `{ "inFlight": 3, "latencyMs": 12.5 }` in JSON. Default: `/load`.',
    ),
  probeTimeoutMs: z
    .int()
    .min(10)
    .max(60_000)
    .optional()
    .describe(
      'For pickers that ask endpoints: how long an answer to a probe may take. Requests never wait for one. Default: 1000.',
    ),
}

const pool = z
  .strictObject({
    balance: z
      .union([
        text(parsePickerName),
        z
          .looseObject({
            picker: text(parsePickerName).describe(
              "The picker's name. Keys that are not listed here are its own options: see the table of pickers.",
            ),
            key: text(parseRequestKey)
              .optional()
              .describe(
                'For pickers by key: what of a request it is. `path` (without query; the default, but that of `ip-hash` is `client`), `url` (with it), `host`, `client` (the address; behind trusted proxies the one that they forwarded), `header:NAME`, `cookie:NAME`, `query:NAME`. A request that lacks it gets a key by chance.',
              ),
            hash: z
              .enum(Object.keys(HASH_FUNCTIONS) as [string, ...string[]])
              .optional()
              .describe('For pickers by key: the hash function. Default: `murmur3`.'),
            ...modifiers,
          })
          .meta({ title: 'Picker' }),
      ])
      .default('round-robin')
      .describe(
        `How an endpoint is picked: ${PICKER_NAMES.map((each) => `\`${each}\``).join(', ')}; or \`{ picker, … }\` with options. The table of pickers at the end of the reference says when to use which.`,
      ),
    endpoints: z
      .array(z.union([text(parseEndpointUrl), endpoint]))
      .describe('The endpoints, as a url or as an object. An empty list is allowed (503 until the API adds one).'),
    health: z
      .union([z.literal(false), healthCheck])
      .default(false)
      .describe(
        'Active health check over HTTP. `{}` asks for `/` every 5 s. Without one, only failed connects (`passive`) take an endpoint out.',
      ),
    timeouts: z
      .strictObject({
        connectMs: ms(3000, 10).describe(
          'Until a connection to the endpoint stands. Then another endpoint is tried; after the last, 504.',
        ),
        firstByteMs: ms(60_000).describe(
          'From the request being sent until the first byte of the answer. Then 504. 0: no limit. Hazard: set it above the slowest honest answer.',
        ),
        responseIdleMs: ms(60_000).describe(
          'Longest pause in an answer that has begun. Then it is cut short. 0: no limit. Event streams that are silent for longer need more.',
        ),
        keepAliveMs: ms(60_000).describe(
          "How long an idle connection to the endpoint is kept. Keep it below the endpoint's own keep-alive time, else requests meet connections that just closed (Node's default is 5 s, nginx's 75 s). 0: no limit (`connections.maxIdle: 0` keeps none).",
        ),
        sendIdleMs: ms(30_000, 10).describe(
          'Longest time the endpoint may read nothing of a request that waits for it. Then 504.',
        ),
      })
      .prefault({})
      .describe('How long an endpoint may take.'),
    connections: z
      .strictObject({
        max: count(0, 0, 10_000_000).describe(
          'Most connections per endpoint over all workers. When all are taken the next endpoint is tried, then 503. 0: no limit.',
        ),
        maxIdle: count(128, 0, 1_000_000).describe(
          'Idle connections kept per endpoint and worker; a further one is closed after its answer. Where the endpoint has a limit, no worker keeps more than its share of it. 0: none are kept.',
        ),
        maxAgeMs: ms(0).describe(
          'A connection older than this is not used again, so that DNS and balancing changes reach everyone. 0: no limit.',
        ),
        maxRequests: count(0, 0, 1_000_000_000).describe(
          'Requests over one connection before it is closed. 0: no limit.',
        ),
      })
      .prefault({})
      .describe('Connections kept to each endpoint.'),
    retries: z
      .strictObject({
        max: count(2, 0, 10).describe(
          'Further attempts after the first. Where nothing was sent yet any method may be repeated; later only idempotent ones, and only before the answer began. 0: none.',
        ),
        bufferBytes: bytes(65_536, 0, 16_777_216).describe(
          'Largest request body kept so that it can be sent again; a larger one is sent once. Each running exchange with a body may hold this much.',
        ),
      })
      .prefault({})
      .describe('Another endpoint for a failed attempt.'),
    passive: z
      .strictObject({
        failures: count(1, 0, 1000).describe(
          'Connects failed in a row (over all workers) that make an endpoint unfit. 0: never.',
        ),
        holdMs: ms(10_000, 100).describe('For how long it stays unfit, unless a health check succeeds earlier.'),
      })
      .prefault({})
      .describe('Marking an endpoint unfit by the connects that fail.'),
    limits: z
      .strictObject({
        responseHeadBytes: bytes(65_536, 256, 1_048_576).describe(
          'Largest head of an answer. A larger one becomes 502.',
        ),
        responseFieldCount: count(200, 1, 2000).describe('Most fields in the head of an answer. More become 502.'),
      })
      .prefault({})
      .describe('What an endpoint may send.'),
  })
  .meta({ title: 'Pool' })

const structure = z.strictObject({
  $schema: z
    .string()
    .optional()
    .describe(
      'Path or URL of `evenkeel.schema.json`, so that editors complete and check a JSON or YAML config. Not read otherwise.',
    ),
  version: z
    .literal(CONFIG_VERSION)
    .describe(
      `Version of the config's shape: ${CONFIG_VERSION}. Required, so that a later version never misreads an old file.`,
    ),
  instance: z
    .strictObject({
      name: z
        .string()
        .regex(/^[\x21-\x7e]{1,128}$/, 'a name is 1 to 128 visible ASCII characters without spaces')
        .default('auto')
        .describe(
          "What sets this balancer apart from others before the same endpoints (`balance.subset`); the same after a restart. `auto`: the machine's name.",
        ),
      zone: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .describe('Where this balancer runs: endpoints with the same `zone` are preferred.'),
    })
    .prefault({})
    .describe('This balancer among others.'),
  workers: z
    .union([z.literal('auto'), z.int().min(1).max(64)])
    .default('auto')
    .describe(
      'Threads that carry traffic. `auto`: one per available core. Where the system cannot share a port between threads (macOS, Windows, unix sockets) one listens. A change needs a restart.',
    ),
  listeners: z.array(listener).min(1).describe('The sockets that accept traffic. At least one.'),
  routes: z
    .array(route)
    .default([])
    .describe('Which request goes to which pool: the first that matches wins; none: 404.'),
  pools: z.record(name(), pool).describe('Groups of endpoints by name.'),
  forwarded: z
    .strictObject({
      xForwarded: z.boolean().default(true).describe('Send `X-Forwarded-For`, `-Proto` and `-Host` to endpoints.'),
      standard: z.boolean().default(false).describe('Send `Forwarded` (RFC 7239) to endpoints.'),
      via: z
        .boolean()
        .default(true)
        .describe('Add `Via` to requests. Without it a loop through this balancer is not noticed.'),
      viaName: z
        .string()
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/, 'the name in Via is a token of at most 64 characters')
        .default('auto')
        .describe(
          'Own name in `Via`. A request that carries it already has been here: 508. `auto`: `evenkeel-` and 8 random characters, new at each start. Hazard: two balancers in a row need different names.',
        ),
    })
    .prefault({})
    .describe('What endpoints are told about the client.'),
  accessLog: z
    .union([
      z.literal(false),
      z
        .strictObject({
          to: z
            .string()
            .min(1)
            .default('stdout')
            .describe('`stdout`, or the path of a file (appended to, reopened on SIGUSR1).'),
          requestHeaders: z
            .array(text(parseFieldName))
            .default([])
            .describe(
              'Request headers to log. Hazard: `authorization` and `cookie` are secrets; they are logged only when listed here.',
            ),
          query: z
            .boolean()
            .default(false)
            .describe("Log the query of a request's target. Hazard: queries carry tokens and personal data."),
        })
        .meta({ title: 'Access log' }),
    ])
    .default(false)
    .describe('One JSON line per exchange. `{}`: to standard output.'),
  health: z
    .strictObject({
      maxConcurrent: count(256, 1, 65_536).describe(
        'Most health checks that run at once over all pools; others wait their turn.',
      ),
    })
    .prefault({})
    .describe('Health checking as a whole; what is checked is said by each pool.'),
  memory: z
    .strictObject({
      endpoints: z
        .union([z.literal('auto'), z.int().min(1).max(1_000_000)])
        .default('auto')
        .describe(
          'Room for endpoints in shared memory, counting those being retired. `auto`: four times the configured ones, at least 1024. Each costs about 200 bytes per worker. A change needs a restart, and a reload that needs more room is refused.',
        ),
      addresses: z
        .int()
        .min(1024)
        .max(16_777_216)
        .default(65_536)
        .describe(
          'Room for client addresses that are connected at once (for `connectionsPerAddress`). When full, further addresses are not limited, and counted as overflow. A change needs a restart.',
        ),
    })
    .prefault({})
    .describe('Sizes of what the threads share.'),
  stop: z
    .strictObject({
      drainMs: ms(30_000).describe(
        'How long running exchanges may take to finish after SIGTERM or SIGINT; what is left is cut. 0: cut at once. A second signal cuts at once too. Keep it below what the supervisor waits (systemd: 90 s, Kubernetes: 30 s).',
      ),
    })
    .prefault({})
    .describe('How the balancer stops.'),
  reload: z
    .strictObject({
      watch: z
        .boolean()
        .default(true)
        .describe(
          'Reload when the config file, or a file it imports, changes. SIGHUP reloads in any case. A broken config is refused and the running one stays.',
        ),
    })
    .prefault({})
    .describe('How the config is reloaded.'),
  admin: z
    .union([
      z.literal(false),
      z
        .strictObject({
          bind: text(parseBind)
            .default('127.0.0.1:9090')
            .describe(
              'Where the admin API, metrics and probes listen. On loopback and unix sockets reading needs no token, elsewhere it does. Hazard: there is no TLS; keep it on loopback or a private network.',
            ),
          allowWorkerKill: z.boolean().default(false).describe('Allow `POST /api/v1/workers/{id}/kill`, for drills.'),
        })
        .meta({ title: 'Admin' }),
    ])
    .default(false)
    .describe(
      'The admin API, `/metrics`, `/livez` and `/readyz`. `{}`: on 127.0.0.1:9090. `evenkeel status`, `drain` and `weight` need it.',
    ),
})

/** What is written: a config as a person or a program gives it. */
export type Config = z.input<typeof structure>

/** The same after zod: all defaults filled, texts still as written. */
export type StructuredConfig = z.output<typeof structure>

/** Parses a config into `Settings`. Use `parseConfig`, which also checks what needs several fields and never throws. */
export const configSchema = structure.transform(normalise).meta({ title: 'Evenkeel config' })

/** What the program works with: all defaults filled, addresses parsed, names given; frozen by `parseConfig`. */
export type Settings = z.output<typeof configSchema>

export type ListenerSettings = Settings['listeners'][number]
export type PoolSettings = Settings['pools'][string]
export type EndpointSettings = PoolSettings['endpoints'][number]
export type HealthSettings = Exclude<PoolSettings['health'], false>

/** Gives a config module its types: `export default defineConfig({ … })`. Returns what it is given. */
export function defineConfig(config: Config): Config {
  return config
}

function ms(standard: number, least = 0) {
  return z.int().min(least).max(MAX_MS).default(standard)
}

function bytes(standard: number, least: number, most: number) {
  return z.int().min(least).max(most).default(standard)
}

function count(standard: number, least: number, most: number) {
  return z.int().min(least).max(most).default(standard)
}

function name() {
  return z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      "a name is 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit",
    )
}

/** A string that must be readable by `parse`; it stays as written, normalise.ts reads it again. */
function text(parse: (value: string) => Reading<unknown>) {
  return z.string().superRefine((value, context) => {
    const reading = parse(value)
    if (!reading.ok) context.addIssue({ code: 'custom', message: reading.reason, params: { hint: reading.hint } })
  })
}

function oneOrMore<T extends z.ZodType>(item: T) {
  return z.union([item, z.array(item).min(1)])
}

function parsePickerName(value: string): Reading<string> {
  if (PICKER_NAMES.includes(value)) return { ok: true, value }
  return { ok: false, reason: `there is no picker '${value}'`, hint: pickerHint(value) }
}

/** A Host field's value: host, optionally with a port. */
function parseCheckHost(value: string): Reading<string> {
  const host = parseHostPattern(value.replace(/:\d{1,5}$/, ''))
  if (!host.ok) return host
  if (host.value.startsWith('*.')) return { ok: false, reason: 'a check needs one host, not a pattern' }
  return { ok: true, value }
}
