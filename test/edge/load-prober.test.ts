/** Probes of load, between a worker's clock and memory and origins that follow a script; sockets on both sides. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLocalDeps } from '../../src/core/balance/local-deps.ts'
import type { PickerEntry } from '../../src/core/balance/picker.ts'
import { PICKERS } from '../../src/core/balance/registry.ts'
import { LoadProber, type LoadProbeSettings, type ProbedEndpoint } from '../../src/edge/load-prober.ts'
import { Fitness } from '../../src/memory/endpoint-table.ts'
import {
  answering,
  type Edge,
  endpointPlan,
  eventually,
  get,
  type Lab,
  type Origin,
  ok,
  sleep,
  wire,
} from '../wire/harness.ts'

const SETTINGS: LoadProbeSettings = { path: '/load', timeoutMs: 1000, barred: -1 }
const GOOD = ok('{"inFlight": 3, "latencyMs": 12.5}')

type Answer = [slot: number, inFlight: number, latencyMs: number]

/** A picker that wants what a test tells it to, and notes what it hears. */
class Asking {
  readonly wanted: number[] = []
  readonly heard: Answer[] = []
  asked = 0

  wantsProbe(): number {
    this.asked++
    return this.wanted.shift() ?? -1
  }

  probed(...answer: Answer): void {
    this.heard.push(answer)
  }
}

interface Probing {
  readonly edge: Edge
  readonly picker: Asking
  readonly prober: LoadProber
  readonly endpoints: readonly ProbedEndpoint[]
  /** Probes under way. */
  readonly running: () => number
  /** Sends one probe and waits until it is over. */
  readonly probe: (slot?: number) => Promise<void>
}

async function probing(
  lab: Lab,
  origins: readonly Origin[],
  settings: Partial<LoadProbeSettings> = {},
): Promise<Probing> {
  const edge = await lab.edge({})
  const { context } = edge.worker
  const picker = new Asking()
  const prober = new LoadProber(context, picker, { ...SETTINGS, ...settings })
  const endpoints = origins.map((origin, index) => {
    const plan = endpointPlan(edge.table, `e${index}`, origin.address)
    return { plan, slot: plan.slot, authority: `127.0.0.1:${origin.port}` }
  })
  prober.update(endpoints)
  const running = (): number => context.loadProbesRunning
  const probe = async (slot = endpoints[0]!.slot): Promise<void> => {
    const before = edge.counter('LOAD_PROBES')
    await eventually(() => {
      context.timers.clock()
      picker.wanted.push(slot)
      prober.ask()
      return edge.counter('LOAD_PROBES') > before
    }, 'a probe that was sent')
    await eventually(() => running() === 0, 'the end of the probe')
  }
  return { edge, picker, prober, endpoints, running, probe }
}

wire('an answer reaches the picker, and the connection serves the next probe', async (lab) => {
  const origin = await lab.origin(answering(GOOD))
  const { edge, picker, probe, prober, endpoints } = await probing(lab, [origin], { path: '/load?v=1' })
  for (let i = 0; i < 3; i++) await probe()
  const { slot } = endpoints[0]!
  assert.deepEqual(picker.heard, [
    [slot, 3, 12.5],
    [slot, 3, 12.5],
    [slot, 3, 12.5],
  ])
  assert.equal(origin.wires.length, 1)
  const [request] = origin.requests
  assert.equal(request!.startLine, 'GET /load?v=1 HTTP/1.1')
  assert.equal(request!.field('host'), `127.0.0.1:${origin.port}`)
  assert.equal(request!.field('user-agent'), 'evenkeel-load-probe')
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
  prober.retire()
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
})

const JSON_TEXT = '{"inFlight":1,"latencyMs":2,"name":"a \u00e9"}'
const GOOD_FORMS: Readonly<Record<string, { answer: string; endsWire?: true }>> = {
  chunked: {
    answer: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n${JSON_TEXT.slice(0, 5)}\r\n${(JSON_TEXT.length - 5).toString(16)}\r\n${JSON_TEXT.slice(5)}\r\n0\r\n\r\n`,
  },
  'HTTP/1.0 with a length': {
    answer: `HTTP/1.0 200 OK\r\ncontent-length: ${JSON_TEXT.length}\r\n\r\n${JSON_TEXT}`,
    endsWire: true,
  },
  'as long as the connection': { answer: `HTTP/1.0 200 OK\r\n\r\n${JSON_TEXT}`, endsWire: true },
  'of 4 KiB': { answer: ok(JSON_TEXT + ' '.repeat(4096 - JSON_TEXT.length)) },
}

for (const [name, { answer, endsWire }] of Object.entries(GOOD_FORMS)) {
  for (const isSlow of [false, true]) {
    wire(`an answer is read: ${name}${isSlow ? ', in pieces' : ''}`, async (lab) => {
      const bytes = Buffer.from(answer, 'latin1')
      const origin = await lab.origin(async (each) => {
        for (;;) {
          await each.request()
          if (isSlow) await each.writeSlowly([bytes.subarray(0, 9), bytes.subarray(9, 60), bytes.subarray(60)])
          else each.write(bytes)
          if (endsWire === true) return each.end()
        }
      })
      const { edge, picker, probe, endpoints, prober } = await probing(lab, [origin])
      await probe()
      await probe()
      const { slot } = endpoints[0]!
      assert.deepEqual(picker.heard, [
        [slot, 1, 2],
        [slot, 1, 2],
      ])
      assert.equal(origin.wires.length, endsWire === true ? 2 : 1)
      assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
      prober.retire()
    })
  }
}

const BAD: Readonly<Record<string, string>> = {
  'no HTTP': 'SSH-2.0-x\r\n\r\n',
  'a 404 with a good body': GOOD.replace('200 OK', '404 Not Found'),
  'no content': 'HTTP/1.1 204 No Content\r\n\r\n',
  'an interim answer': `HTTP/1.1 103 Early Hints\r\n\r\n${GOOD}`,
  'no JSON': ok('busy'),
  nothing: ok(''),
  null: ok('null'),
  'a number': ok('3'),
  'an array': ok('[1, 2]'),
  'no latency': ok('{"inFlight": 3}'),
  'no load': ok('{"latencyMs": 3}'),
  'less than nothing': ok('{"inFlight": -1, "latencyMs": 3}'),
  'texts for numbers': ok('{"inFlight": "1", "latencyMs": 3}'),
  'an endless number': ok('{"inFlight": 1e999, "latencyMs": 3}'),
  'more than can be': ok('{"inFlight": 1, "latencyMs": 1e10}'),
  'a body above 4 KiB': `HTTP/1.1 200 OK\r\ncontent-length: 4097\r\n\r\n`,
  'chunks above 4 KiB': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1002\r\n${' '.repeat(0x1002)}\r\n`,
  'bad chunks': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxx\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n',
  'no end of a body without length': `HTTP/1.1 200 OK\r\n\r\n${' '.repeat(5000)}`,
  'a head above 4 KiB': `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(5000)}\r\n`,
  'two answers to one probe': GOOD + GOOD,
  'a byte behind the body': `${GOOD} `,
  'a byte behind the last chunk': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1e\r\n{"inFlight": 1,"latencyMs": 2}\r\n0\r\n\r\n `,
}

for (const [name, answer] of Object.entries(BAD)) {
  wire(`what is no answer is a failure, and closes: ${name}`, async (lab) => {
    const origin = await lab.origin(answering(answer))
    const { edge, picker, probe } = await probing(lab, [origin])
    await probe()
    assert.deepEqual(picker.heard, [])
    assert.equal(edge.counter('LOAD_PROBES_FAILED'), 1)
    assert.notEqual(await origin.wires[0]!.ending(), 'open')
  })
}

wire('an endpoint that says nothing is given up after the time limit', async (lab) => {
  const origin = await lab.origin(async (each) => void (await each.request()))
  const { edge, picker, probe } = await probing(lab, [origin], { timeoutMs: 60 })
  const begun = performance.now()
  await probe()
  const tookMs = performance.now() - begun
  assert.ok(tookMs >= 50 && tookMs < 2000, `${tookMs} ms`)
  assert.deepEqual(picker.heard, [])
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 1)
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
})

wire('one that fails is asked less and less often, and as before once it answers', async (lab) => {
  let isWell = false
  const origin = await lab.origin(answering(() => (isWell ? GOOD : ok('busy'))))
  const { edge, prober, picker, endpoints, probe } = await probing(lab, [origin])
  const { slot } = endpoints[0]!
  const until = performance.now() + 650
  while (performance.now() < until) {
    edge.worker.context.timers.clock()
    picker.wanted.push(slot)
    prober.ask()
    await sleep(5)
  }
  // At 0, then 100, 200 and 400 ms after the one before.
  const failed = edge.counter('LOAD_PROBES_FAILED')
  assert.ok(failed >= 2 && failed <= 3, `${failed} failures`)
  isWell = true
  await probe()
  for (let i = 0; i < 5; i++) await probe()
  assert.equal(picker.heard.length, 6)
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), failed)
  prober.retire()
})

wire('a refused connection is a failure', async (lab) => {
  const origin = await lab.origin()
  const { edge, probe } = await probing(lab, [origin])
  origin.close()
  await probe()
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 1)
})

wire('a kept connection that the endpoint closed is replaced within the probe', async (lab) => {
  const origin = await lab.origin(async (each, index) => {
    await each.request()
    each.write(GOOD)
    if (index > 0) return
    // The next one is read and then refused by closing.
    await each.request()
    each.close()
  })
  const { edge, picker, probe, prober } = await probing(lab, [origin])
  await probe()
  await probe()
  assert.equal(picker.heard.length, 2)
  assert.equal(origin.wires.length, 2)
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
  prober.retire()
})

wire('a connection that the endpoint will not keep is closed after the answer', async (lab) => {
  const origin = await lab.origin(answering(ok('{"inFlight": 0, "latencyMs": 0}', 'connection: close\r\n')))
  const { picker, probe } = await probing(lab, [origin])
  const begun = performance.now()
  await probe()
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
  assert.ok(performance.now() - begun < 2000, 'it was not kept until its idle time was over')
  assert.equal(picker.heard.length, 1)
})

wire('a connection without probes is closed after some seconds', async (lab) => {
  const origin = await lab.origin(answering(GOOD))
  const { edge, probe } = await probing(lab, [origin])
  await probe()
  const begun = performance.now()
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
  const keptMs = performance.now() - begun
  assert.ok(keptMs > 3000 && keptMs < 7000, `${keptMs} ms`)
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
})

wire('what an idle connection says unasked closes it', async (lab) => {
  const origin = await lab.origin(answering(GOOD))
  const { picker, probe, prober } = await probing(lab, [origin])
  await probe()
  const begun = performance.now()
  origin.wires[0]!.write(GOOD)
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
  assert.ok(performance.now() - begun < 2000, 'at once')
  assert.equal(picker.heard.length, 1)
  await probe()
  assert.equal(picker.heard.length, 2)
  assert.equal(origin.wires.length, 2)
  prober.retire()
})

wire('an endpoint has one probe at a time, and a worker 32', async (lab) => {
  const mute = await lab.origin(async (each) => void (await each.request()))
  const { edge, prober, picker, running } = await probing(lab, [mute])
  const { context } = edge.worker
  const plan = endpointPlan(edge.table, 'more', mute.address)
  // Of the row of the table only fitness is looked at, so slots of one address will do.
  const many = Array.from({ length: 31 }, (_, slot) => ({ plan, slot, authority: 'x' }))
  prober.update(many)
  const other = new LoadProber(context, picker, SETTINGS)
  other.update(many)
  for (let slot = 0; slot < 31; slot++) {
    picker.wanted.push(slot, slot)
    prober.ask()
  }
  assert.equal(running(), 31)
  assert.equal(edge.counter('LOAD_PROBES'), 31)
  picker.wanted.push(0, 1, 2)
  other.ask()
  assert.equal(running(), 32, 'the bound is over all pools of the worker')
  assert.deepEqual(picker.wanted, [1, 2], 'what cannot be asked stays wanted')
  prober.retire()
  other.retire()
  assert.equal(running(), 0)
})

wire('of one pick no more than eight questions come', async (lab) => {
  const { prober, picker } = await probing(lab, [])
  picker.wanted.push(...Array.from({ length: 20 }, () => 5))
  prober.ask()
  assert.equal(picker.asked, 8)
})

wire('an endpoint that gets no requests gets no probes', async (lab) => {
  const origin = await lab.origin(answering(GOOD))
  const { edge, prober, picker, endpoints, running } = await probing(lab, [origin])
  const { slot } = endpoints[0]!
  Atomics.or(edge.table.fitness, slot, Fitness.UNHEALTHY)
  picker.wanted.push(slot)
  prober.ask()
  assert.equal(running(), 0)
  assert.equal(edge.counter('LOAD_PROBES'), 0)
})

wire('an endpoint that leaves is not heard any more, and its connection closes', async (lab) => {
  const answers: (() => void)[] = []
  const origin = await lab.origin(answering(() => new Promise<string>((resolve) => answers.push(() => resolve(GOOD)))))
  const stays = await lab.origin(answering(GOOD))
  const { edge, prober, picker, endpoints, running, probe } = await probing(lab, [origin, stays])
  await probe(endpoints[1]!.slot)
  picker.wanted.push(endpoints[0]!.slot)
  prober.ask()
  await eventually(() => answers.length === 1, 'the probe at the endpoint')
  prober.update(endpoints.slice(1))
  assert.equal(running(), 0)
  answers[0]!()
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
  // Another endpoint in the same row is another endpoint.
  prober.update([{ ...endpoints[0]!, plan: endpoints[1]!.plan }, endpoints[1]!])
  await probe(endpoints[1]!.slot)
  assert.deepEqual(
    picker.heard.map(([slot]) => slot),
    [endpoints[1]!.slot, endpoints[1]!.slot],
  )
  assert.equal(stays.wires.length, 1, 'who stays keeps its connection')
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
  prober.retire()
})

wire('a picker that throws costs an answer and is reported', async (lab) => {
  const origin = await lab.origin(answering(GOOD))
  const { edge, picker, probe, prober } = await probing(lab, [origin])
  picker.probed = () => {
    throw new Error('a bug in probed')
  }
  await probe()
  await eventually(() => edge.events.some((event) => event.type === 'warning'), 'a warning')
  picker.wantsProbe = () => {
    throw new Error('a bug in wantsProbe')
  }
  prober.ask()
  prober.retire()
})

// ---------------------------------------------------------------------------- in a worker

const PREQUAL = { picker: { name: 'prequal', options: {} } }

/** Answers probes with a load and everything else with a name. */
function loaded(name: string, inFlight: number, latencyMs: number): ReturnType<typeof answering> {
  return answering(({ target }) => (target === '/load' ? ok(JSON.stringify({ inFlight, latencyMs })) : ok(name)))
}

function isProbed(origin: Origin): boolean {
  return origin.requests.some(({ target }) => target === '/load')
}

wire('prequal: who says that it is busy gets less', async (lab) => {
  const origins = await Promise.all([
    lab.origin(loaded('a', 40, 400)),
    lab.origin(loaded('b', 0, 1)),
    lab.origin(loaded('c', 0, 1)),
  ])
  const edge = await lab.edge({ origins, pool: PREQUAL })
  const client = await edge.connect()
  let busy = 0
  const count = 200
  for (let i = 0; i < count; i++) {
    client.write(get())
    if ((await client.answer()).text === 'a') busy++
  }
  assert.ok(busy < count / 5, `${busy} of ${count} to the busy one`)
  assert.ok(edge.counter('LOAD_PROBES') > count / 4, `${edge.counter('LOAD_PROBES')} probes`)
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0)
  for (const origin of origins) assert.ok(origin.wires.length <= 2, 'one for requests, one for probes')
})

wire('a worker that drains ends its probes at once, though a request still runs', async (lab) => {
  const finish: (() => void)[] = []
  const mute = await lab.origin(
    answering(({ target }) => {
      if (target === '/load') return new Promise<string>(() => {})
      return new Promise<string>((resolve) => finish.push(() => resolve(ok())))
    }),
  )
  const edge = await lab.edge({ origins: [mute], pool: PREQUAL })
  const client = await edge.connect()
  client.write(get())
  await eventually(() => isProbed(mute) && finish.length === 1, 'a request and a probe')
  assert.equal(edge.worker.context.loadProbesRunning, 1)
  edge.worker.command({ type: 'drain', deadlineMs: 5000 })
  await eventually(() => edge.worker.context.loadProbesRunning === 0, 'no probe')
  assert.equal(edge.counter('LOAD_PROBES_FAILED'), 0, 'given up, not waited for')
  assert.equal(edge.counter('EXCHANGES_OPEN'), 1)
  finish[0]!()
  assert.equal((await client.answer()).text, 'ok')
  for (const each of mute.wires) assert.notEqual(await each.ending(), 'open')
  assert.equal(edge.counter('LOAD_PROBES'), 1)
})

wire('a pool that goes, or picks in another way, ends its probes', async (lab) => {
  const mute = await lab.origin(answering(({ target }) => (target === '/load' ? new Promise<string>(() => {}) : ok())))
  const edge = await lab.edge({ origins: [mute], pool: PREQUAL })
  await edge.ask(get())
  await eventually(() => isProbed(mute), 'a probe')
  assert.equal(edge.worker.context.loadProbesRunning, 1)
  const [pool] = edge.plan.pools
  await edge.apply({ ...edge.plan, version: 2, pools: [{ ...pool!, picker: { name: 'p2c', options: {} } }] })
  assert.equal(edge.worker.context.loadProbesRunning, 0)
  const before = edge.counter('LOAD_PROBES')
  await edge.ask(get())
  assert.equal(edge.counter('LOAD_PROBES'), before)
  await edge.apply({ ...edge.plan, version: 3 })
  await edge.ask(get())
  assert.equal(edge.worker.context.loadProbesRunning, 1)
  await edge.apply({ ...edge.plan, version: 4, routes: [], pools: [] })
  assert.equal(edge.worker.context.loadProbesRunning, 0)
})

test('the registry says which pickers want probes', () => {
  for (const entry of Object.values<PickerEntry>(PICKERS)) {
    assert.equal(entry.create(createLocalDeps(1), {}).wantsProbe !== undefined, entry.probes === true, entry.name)
  }
})
