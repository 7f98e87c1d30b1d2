import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isSettings, parseConfig } from '../../src/config/parse.ts'
import type { Problem } from '../../src/config/problem.ts'
import type { Config, Settings } from '../../src/config/schema.ts'

const smallest = {
  version: 1,
  listeners: [{ bind: ':8080' }],
  routes: [{ pool: 'web' }],
  pools: { web: { endpoints: ['http://127.0.0.1:9001'] } },
} as const satisfies Config

function settingsOf(config: unknown): Settings {
  const parsed = parseConfig(config)
  assert.deepEqual(parsed.problems, undefined)
  return parsed.settings
}

function problemsOf(config: unknown): readonly Problem[] {
  const parsed = parseConfig(config)
  return parsed.problems ?? parsed.warnings
}

/** The problem at a path. */
function at(config: unknown, path: string): Problem {
  const problems = problemsOf(config)
  const found = problems.find((problem) => problem.path === path)
  assert.ok(found, `${path} is not among ${JSON.stringify(problems, null, 1)}`)
  return found
}

describe('settings', () => {
  test('have every default filled', () => {
    const { listeners, routes, pools, ...rest } = settingsOf(smallest)
    assert.deepEqual(listeners, [
      {
        name: ':8080',
        bind: ':8080',
        address: { kind: 'ip', host: '::', port: 8080, ipv6Only: false },
        protocol: 'http',
        trustedProxies: [],
        limits: {
          requestLineBytes: 8192,
          headBytes: 32_768,
          fieldCount: 100,
          bodyBytes: 0,
          connections: 10_000,
          connectionsPerAddress: 1024,
          perAddressExempt: ['127.0.0.0/8', '::1/128'],
          requestsPerConnection: 0,
        },
        timeouts: {
          headMs: 10_000,
          bodyIdleMs: 30_000,
          sendIdleMs: 30_000,
          keepAliveMs: 75_000,
          tunnelIdleMs: 3_600_000,
          exchangeMs: 0,
          halfCloseMs: 5000,
        },
      },
    ])
    assert.deepEqual(routes, [{ name: 'route-1', match: {}, pool: 'web' }])
    assert.deepEqual(pools, {
      web: {
        balance: { name: 'round-robin', options: {} },
        endpoints: [
          {
            id: '127.0.0.1:9001',
            url: 'http://127.0.0.1:9001',
            address: { kind: 'ip', host: '127.0.0.1', port: 9001, ipv6Only: false },
            weight: 1,
            zone: null,
            tier: 0,
            maxConnections: 0,
            state: 'active',
          },
        ],
        health: false,
        timeouts: {
          connectMs: 3000,
          firstByteMs: 60_000,
          responseIdleMs: 60_000,
          keepAliveMs: 60_000,
          sendIdleMs: 30_000,
        },
        connections: { max: 0, maxIdle: 128, maxAgeMs: 0, maxRequests: 0 },
        retries: { max: 2, bufferBytes: 65_536 },
        passive: { failures: 1, holdMs: 10_000 },
        limits: { responseHeadBytes: 65_536, responseFieldCount: 200 },
      },
    })
    assert.deepEqual(rest, {
      version: 1,
      instance: { name: 'auto', zone: null },
      workers: 'auto',
      forwarded: { xForwarded: true, standard: false, via: true, viaName: 'auto' },
      accessLog: false,
      health: { maxConcurrent: 256 },
      memory: { endpoints: 1024, addresses: 65_536 },
      stop: { drainMs: 30_000 },
      reload: { watch: true },
      admin: false,
    })
  })

  test('of a health check asked for without more are those of the product', () => {
    const { health } = settingsOf({ ...smallest, pools: { web: { endpoints: ['http://a'], health: {} } } }).pools[
      'web'
    ]!
    assert.deepEqual(health, {
      path: '/',
      intervalMs: 5000,
      timeoutMs: 2000,
      rise: 2,
      fall: 2,
      statuses: [{ from: 200, to: 399 }],
      method: 'GET',
      headers: {},
      host: null,
      signals: {},
    })
  })

  test('have one form of what may be written in several', () => {
    const { routes, pools, admin } = settingsOf({
      ...smallest,
      routes: [
        {
          match: { host: 'A.com', path: ['/a', '/b/*'], method: 'GET', headers: { 'X-A': 'b', 'x-c': true } },
          pool: 'web',
        },
        { name: 'rest', match: { host: ['*.B.com'] }, pool: 'web' },
      ],
      pools: {
        web: {
          balance: { picker: 'least-requests', exact: true },
          endpoints: [
            { url: 'unix:/run/app.sock', weight: 0.5, zone: 'a', state: 'draining' },
            { url: 'http://b', id: 'b' },
          ],
        },
      },
      admin: {},
    })
    assert.deepEqual(routes[0]!.match, {
      hosts: ['a.com'],
      paths: ['/a', '/b/*'],
      methods: ['GET'],
      headers: [
        { name: 'x-a', value: 'b' },
        { name: 'x-c', value: null },
      ],
    })
    assert.deepEqual(routes[1], { name: 'rest', match: { hosts: ['*.b.com'] }, pool: 'web' })
    const { balance, endpoints } = pools['web']!
    assert.deepEqual(balance, { name: 'least-requests', options: { exact: true } })
    assert.deepEqual(
      endpoints.map(({ id, weight, zone, state }) => ({ id, weight, zone, state })),
      [
        { id: '/run/app.sock', weight: 0.5, zone: 'a', state: 'draining' },
        { id: 'b', weight: 1, zone: null, state: 'active' },
      ],
    )
    assert.deepEqual(admin, {
      bind: '127.0.0.1:9090',
      address: { kind: 'ip', host: '127.0.0.1', port: 9090, ipv6Only: false },
      allowWorkerKill: false,
    })
  })

  test('are frozen to the ground and known as settings', () => {
    const settings = settingsOf({ ...smallest, admin: {} })
    const frozen = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      assert.ok(Object.isFrozen(value))
      for (const inner of Object.values(value)) frozen(inner)
    }
    frozen(settings)
    assert.ok(isSettings(settings))
    assert.ok(!isSettings(smallest))
  })

  test('leave the config that they were made from untouched', () => {
    const config = structuredClone(smallest)
    settingsOf(config)
    assert.deepEqual(config, smallest)
    assert.ok(!Object.isFrozen(config.listeners))
  })

  test('number listeners that share a port of the kernel’s choice', () => {
    const { listeners } = settingsOf({ ...smallest, listeners: [{ bind: ':0' }, { bind: ':0' }, { bind: ':0' }] })
    assert.deepEqual(
      listeners.map(({ name }) => name),
      [':0', ':0#2', ':0#3'],
    )
  })

  test('make room for four times the endpoints there are', () => {
    const endpoints = Array.from({ length: 300 }, (_, index) => `http://a:${index + 1}`)
    assert.equal(settingsOf({ ...smallest, pools: { web: { endpoints } } }).memory.endpoints, 2048)
  })

  test('of 10 000 endpoints are made in well under a second', () => {
    const endpoints = Array.from({ length: 10_000 }, (_, index) => ({
      url: `http://10.0.${index >> 8}.${index & 255}:80`,
      weight: 2,
    }))
    const config = { ...smallest, pools: { web: { endpoints } } }
    const startedAt = performance.now()
    const { pools } = settingsOf(config)
    const ms = performance.now() - startedAt
    assert.equal(pools['web']!.endpoints.length, 10_000)
    assert.ok(ms < 1000, `${Math.round(ms)} ms`)
  })
})

describe('a broken config', () => {
  test('has every problem named at once, with path, reason and hint', () => {
    const problems = problemsOf({
      version: 1,
      wokers: 2,
      workers: 100,
      listeners: [{ bind: '8080', timeouts: { headMs: '5s' }, limits: { headBytes: '64k' } }],
      routes: [{ pool: 'wbe', match: { path: 'api' } }],
      pools: { web: { balance: 'p3c', endpoints: ['127.0.0.1:9001', { url: 'http://b/x', weigth: 2 }, 7] } },
      accessLog: true,
    })
    const seen = problems.map(({ path, hint }) => `${path} ${hint ?? ''}`)
    assert.deepEqual(seen.sort(), [
      'accessLog write {} for the defaults',
      "listeners[0].bind write ':8080' for every address",
      'listeners[0].limits.headBytes write 65536',
      'listeners[0].timeouts.headMs write 5000',
      "pools.web.balance did you mean 'p2c'?",
      "pools.web.endpoints[0] write 'http://127.0.0.1:9001'",
      "pools.web.endpoints[1].url write 'http://b'",
      "pools.web.endpoints[1].weigth did you mean 'weight'?",
      'pools.web.endpoints[2] ',
      "routes[0].match.path write '/api'",
      "routes[0].pool did you mean 'web'?",
      "wokers did you mean 'workers'?",
      'workers ',
    ])
    assert.match(at({ ...smallest, workers: 100 }, 'workers').message, /'auto' or a whole number from 1 to 64, not 100/)
  })

  test('without a version, or of a newer one, is told so', () => {
    const { version: _, ...without } = smallest
    assert.deepEqual(at(without, 'version').code, 'version')
    assert.match(at({ ...smallest, version: 2 }, 'version').message, /version 2.*reads version 1/)
    assert.match(at({ ...smallest, version: '1' }, 'version').message, /must be 1/)
  })

  test('with a key spelled wrong has one problem for it, not a second for the right one', () => {
    const paths = (config: unknown) => problemsOf(config).map(({ path, hint }) => `${path}: ${hint}`)
    assert.deepEqual(
      paths({
        verson: 1,
        listners: [{ bind: ':1' }],
        rotues: [{ pool: 'web' }],
        pools: { web: { endpionts: ['http://a'] } },
      }),
      [
        "pools.web.endpionts: did you mean 'endpoints'?",
        "verson: did you mean 'version'?",
        "listners: did you mean 'listeners'?",
        "rotues: did you mean 'routes'?",
      ],
    )
    // Both are there: the wrong one is no excuse for the right one.
    const both = problemsOf({ ...smallest, listners: [], listeners: [] }).map(({ path }) => path)
    assert.deepEqual(both, ['listeners', 'listners'])
  })

  test('naming a picker as others do is told what it is called here', () => {
    const hint = (balance: string) =>
      at({ ...smallest, pools: { web: { endpoints: [], balance } } }, 'pools.web.balance').hint
    for (const name of ['least-conn', 'least_conn', 'leastconn', 'LEAST_REQUEST', 'least_connections']) {
      assert.equal(hint(name), "did you mean 'least-requests'?", name)
    }
    for (const name of ['roundrobin', 'round_robin', 'ROUND_ROBIN', 'static-rr']) {
      assert.equal(hint(name), "did you mean 'round-robin'?", name)
    }
    for (const name of ['wrr', 'weighted_round_robin']) {
      assert.equal(hint(name), "did you mean 'weighted-round-robin'?", name)
    }
    assert.equal(hint('first'), "did you mean 'first-available'?")
    for (const name of ['power-of-two-choices', 'random_choose', 'P2C'])
      assert.equal(hint(name), "did you mean 'p2c'?", name)
    assert.equal(hint('RANDOM'), "did you mean 'random'?")
    for (const name of ['ring_hash', 'RingHash', 'ketama', 'uri', 'url_param', 'consistent-hash'])
      assert.equal(hint(name), "did you mean 'ring-hash'?", name)
    for (const name of ['ip_hash', 'source', 'source_ip', 'client_ip_hash'])
      assert.equal(hint(name), "did you mean 'ip-hash'?", name)
    assert.equal(hint('MAGLEV'), "did you mean 'maglev'?")
    assert.equal(hint('hrw'), "did you mean 'rendezvous'?")
    assert.match(hint('constructor') ?? '', /^one of round-robin/)
  })

  test('that is no object is told what one is', () => {
    for (const value of [undefined, null, 1, 'x', [], () => 1])
      assert.match(problemsOf(value)[0]!.message, /a config is an object/)
  })

  test('names that are taken, and what they are taken by', () => {
    const taken: readonly (readonly [config: unknown, path: string, hint: RegExp])[] = [
      [
        {
          ...smallest,
          listeners: [
            { name: 'a', bind: ':1' },
            { name: 'a', bind: ':2' },
          ],
        },
        'listeners[1].name',
        /listeners\[0\]/,
      ],
      [
        { ...smallest, listeners: [{ bind: ':1' }, { bind: '0.0.0.0:1' }] },
        'listeners[1].bind',
        /listeners\[0\]\.bind/,
      ],
      [{ ...smallest, listeners: [{ bind: '127.0.0.1:9090' }], admin: {} }, 'admin', /listeners\[0\]\.bind/],
      [
        {
          ...smallest,
          routes: [
            { name: 'a', match: { path: '/' }, pool: 'web' },
            { name: 'a', pool: 'web' },
          ],
        },
        'routes[1].name',
        /routes\[0\]/,
      ],
      [
        { ...smallest, pools: { web: { endpoints: ['http://a', 'http://a:80'] } } },
        'pools.web.endpoints[1]',
        /endpoints\[0\].*'id'/,
      ],
      [
        {
          ...smallest,
          pools: {
            web: {
              endpoints: [
                { url: 'http://a', id: 'x' },
                { url: 'http://b', id: 'x' },
              ],
            },
          },
        },
        'pools.web.endpoints[1]',
        /endpoints\[0\]/,
      ],
    ]
    for (const [config, path, hint] of taken) {
      const problem = at(config, path)
      assert.equal(problem.code, 'duplicate')
      assert.match(problem.hint ?? '', hint)
    }
  })

  test('is refused for what only several fields together show', () => {
    assert.match(
      at({ ...smallest, routes: [{ match: { listener: 'x' }, pool: 'web' }] }, 'routes[0].match.listener').hint ?? '',
      /there is :8080/,
    )
    assert.equal(
      at(
        { ...smallest, memory: { endpoints: 1 }, pools: { web: { endpoints: ['http://a', 'http://b'] } } },
        'memory.endpoints',
      ).code,
      'out-of-range',
    )
    assert.equal(
      at(
        { ...smallest, listeners: [{ bind: ':1', limits: { requestLineBytes: 40_000 } }] },
        'listeners[0].limits.requestLineBytes',
      ).code,
      'out-of-range',
    )
    assert.equal(
      at(
        { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'p2c', exact: true } } } },
        'pools.web.balance.exact',
      ).code,
      'unknown-key',
    )
    assert.match(
      at(
        { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'least-requests', exakt: true } } } },
        'pools.web.balance.exakt',
      ).hint ?? '',
      /'exact'/,
    )
    const refused = at(
      { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'least-requests', index: true } } } },
      'pools.web.balance.index',
    )
    assert.equal(refused.code, 'bad-value')
    assert.match(refused.message, /one owner/)
    for (const balance of [
      { picker: 'least-requests', index: false },
      { picker: 'prequal', probePath: '/busy?as=json', probeTimeoutMs: 50 },
    ]) {
      const problems = problemsOf({ ...smallest, pools: { web: { endpoints: [], balance } } })
      assert.deepEqual(
        problems.filter(({ severity }) => severity === 'error'),
        [],
      )
    }
    assert.equal(
      at(
        { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'p2c', probePath: '/load' } } } },
        'pools.web.balance.probePath',
      ).code,
      'unknown-key',
    )
    at(
      { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'prequal', probePath: '/a b' } } } },
      'pools.web.balance.probePath',
    )
    at(
      { ...smallest, pools: { web: { endpoints: [], balance: { picker: 'prequal', probeTimeoutMs: 5 } } } },
      'pools.web.balance.probeTimeoutMs',
    )
  })

  test('is refused for addresses, blocks and patterns that mean nothing', () => {
    for (const [config, path] of [
      [{ ...smallest, listeners: [{ bind: ':1', trustedProxies: ['10.0.0.1/8'] }] }, 'listeners[0].trustedProxies[0]'],
      [
        { ...smallest, listeners: [{ bind: ':1', limits: { perAddressExempt: ['x'] } }] },
        'listeners[0].limits.perAddressExempt[0]',
      ],
      [{ ...smallest, routes: [{ match: { host: ['a', 'b:80'] }, pool: 'web' }] }, 'routes[0].match.host[1]'],
      [
        { ...smallest, routes: [{ match: { headers: { 'a b': 'c' } }, pool: 'web' }] },
        'routes[0].match.headers["a b"]',
      ],
      [{ ...smallest, pools: { ...smallest.pools, 'my pool': { endpoints: [] } } }, 'pools["my pool"]'],
      [
        { ...smallest, pools: { web: { endpoints: [{ url: 'http://a', weight: -1 }] } } },
        'pools.web.endpoints[0].weight',
      ],
      [
        { ...smallest, pools: { web: { endpoints: [{ url: 'http://a', weight: Number.NaN }] } } },
        'pools.web.endpoints[0].weight',
      ],
    ] as const) {
      assert.equal(at(config, path).severity, 'error')
    }
  })

  test('never makes the check throw, whatever it is made of', () => {
    const broken = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.constantFrom(undefined, Number.NaN, '__proto__', 1n, Symbol('x'), () => 1, new Date(0), /x/),
        fc.dictionary(
          fc.constantFrom(
            'version',
            'listeners',
            'routes',
            'pools',
            'web',
            'match',
            'endpoints',
            'bind',
            'url',
            'id',
            'pool',
            'health',
            'limits',
            'admin',
            '__proto__',
            'memory',
            'balance',
            'picker',
            'host',
            'headers',
          ),
          tie('value'),
        ),
        fc.array(tie('value'), { maxLength: 3 }),
      ),
    })).value
    fc.assert(
      fc.property(broken, (value) => {
        const parsed = parseConfig(value)
        if (parsed.problems !== undefined) {
          assert.ok(parsed.problems.some(({ severity }) => severity === 'error'))
          for (const { path, message } of parsed.problems) assert.ok(typeof path === 'string' && message.length > 0)
        }
      }),
      { numRuns: 1000 },
    )
    const thrower = {
      get version(): never {
        throw new Error('no')
      },
    }
    assert.match(problemsOf(thrower)[0]!.message, /could not be read: no/)
  })

  test('with a key that an object inherits is not fooled', () => {
    const config = JSON.parse(
      '{"version":1,"listeners":[{"bind":":1"}],"routes":[{"pool":"toString"}],"pools":{"__proto__":{"endpoints":[]}}}',
    ) as unknown
    const problems = problemsOf(config)
    assert.ok(
      problems.some(({ path }) => path === 'routes[0].pool'),
      JSON.stringify(problems),
    )
    assert.ok(
      problems.some(({ path, severity }) => path === 'pools.__proto__' && severity === 'error'),
      JSON.stringify(problems),
    )
  })
})

describe('a doubtful config', () => {
  const warning = (config: unknown, path: string): string => {
    const parsed = parseConfig(config)
    assert.ok(parsed.settings, JSON.stringify(parsed.problems))
    const found = parsed.warnings.find((problem) => problem.path === path)
    assert.ok(found, `${path} is not among ${JSON.stringify(parsed.warnings)}`)
    assert.equal(found.severity, 'warning')
    return found.message
  }

  test('is used, and told what is doubtful', () => {
    assert.match(warning({ ...smallest, routes: [] }, 'routes'), /404/)
    assert.match(warning({ ...smallest, pools: { web: { endpoints: [] } } }, 'pools.web.endpoints'), /no endpoints/)
    assert.match(
      warning({ ...smallest, pools: { web: { endpoints: [{ url: 'http://a', weight: 0 }] } } }, 'pools.web.endpoints'),
      /every weight is 0/,
    )
    assert.match(
      warning({ ...smallest, pools: { ...smallest.pools, b: { endpoints: ['http://a'] } } }, 'pools.b'),
      /no route leads/,
    )
    assert.match(
      warning(
        { ...smallest, pools: { web: { endpoints: ['http://a'], health: { timeoutMs: 9000 } } } },
        'pools.web.health.timeoutMs',
      ),
      /longer/,
    )
    assert.match(warning({ ...smallest, admin: { bind: ':9090' } }, 'admin.bind'), /every interface/)
  })

  test('has its unreachable routes named', () => {
    const unreachable = (...matches: readonly object[]) =>
      parseConfig({ ...smallest, routes: matches.map((match) => ({ match, pool: 'web' })) })
        .warnings?.filter(({ code }) => code === 'unreachable')
        .map(({ path }) => path)
    assert.deepEqual(unreachable({}, { path: '/a' }), ['routes[1]'])
    assert.deepEqual(unreachable({ path: '/*' }, { host: 'a.com' }), ['routes[1]'])
    assert.deepEqual(unreachable({ path: '/api/*' }, { path: '/api/v1/*' }, { path: '/api' }), ['routes[1]'])
    assert.deepEqual(unreachable({ host: '*.a.com' }, { host: 'x.a.com', method: 'GET' }, { host: 'a.com' }), [
      'routes[1]',
    ])
    assert.deepEqual(unreachable({ host: '*.a.com' }, { host: '*.b.a.com' }), ['routes[1]'])
    assert.deepEqual(unreachable({ method: ['GET', 'HEAD'] }, { method: 'GET' }, { method: ['GET', 'POST'] }), [
      'routes[1]',
    ])
    assert.deepEqual(unreachable({ headers: { a: true } }, { headers: { A: '1' } }, { headers: { b: true } }), [
      'routes[1]',
    ])
    assert.deepEqual(unreachable({ listener: ':8080' }, {}), [])
    assert.deepEqual(unreachable({ path: '/a*' }, { path: '/ab' }), [])
  })
})
