import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Names } from '../../src/control/names.ts'

interface Resolver {
  readonly names: Names
  readonly asked: string[]
  readonly changes: string[]
  answers: Record<string, readonly string[] | Error>
}

function resolver(answers: Resolver['answers']): Resolver {
  const made: Resolver = {
    asked: [],
    changes: [],
    answers,
    names: new Names({
      lookup: (host) => {
        made.asked.push(host)
        const answer = made.answers[host] ?? Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
      },
      onChange: (host) => made.changes.push(host),
    }),
  }
  return made
}

async function tick(ms: number, mock: { tick(ms: number): void }): Promise<void> {
  mock.tick(ms)
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

test('a name is resolved once, the first address is taken, literals are their own answer', async (context) => {
  const { names, asked, changes } = resolver({ app: ['10.0.0.1', '::1'] })
  context.after(() => names.stop())
  names.update(['app', 'app', '127.0.0.1', '::1'])
  await names.settled(1000)
  assert.deepEqual(names.get('app'), { address: '10.0.0.1', problem: null })
  assert.deepEqual(names.get('::1'), { address: '::1', problem: null })
  assert.deepEqual(asked, ['app'])
  assert.deepEqual(changes, ['app'])
})

test('an address in use stays while it is among the answers, whatever their order', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const made = resolver({ app: ['10.0.0.1', '10.0.0.2'] })
  const { names, changes } = made
  const clock = mockedNow(context)
  names.update(['app'])
  await tick(0, context.mock.timers)
  made.answers = { app: ['10.0.0.2', '10.0.0.1'] }
  clock.now += 30_000
  await tick(30_000, context.mock.timers)
  assert.equal(names.get('app').address, '10.0.0.1')
  assert.equal(changes.length, 1)
  made.answers = { app: ['10.0.0.3'] }
  clock.now += 30_000
  await tick(30_000, context.mock.timers)
  assert.equal(names.get('app').address, '10.0.0.3')
  assert.equal(changes.length, 2)
  names.stop()
})

test('a name that stops to resolve keeps its address and says why', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const made = resolver({ app: ['10.0.0.1'] })
  const clock = mockedNow(context)
  made.names.update(['app'])
  await tick(0, context.mock.timers)
  made.answers = {}
  clock.now += 30_000
  await tick(30_000, context.mock.timers)
  assert.deepEqual(made.names.get('app'), { address: '10.0.0.1', problem: 'the name does not resolve (ENOTFOUND)' })
  made.names.stop()
})

test('a name that does not resolve is tried again after 1, 2, 4 s and so on up to 30 s', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = mockedNow(context)
  const { names, asked } = resolver({})
  names.update(['app'])
  await tick(0, context.mock.timers)
  const times: number[] = []
  for (let second = 1; second <= 125; second++) {
    clock.now += 1000
    const before = asked.length
    await tick(1000, context.mock.timers)
    if (asked.length > before) times.push(second)
  }
  assert.deepEqual(times, [1, 3, 7, 15, 31, 61, 91, 121])
  names.stop()
})

test('a failing endpoint has its name looked up soon, but not more than once a second', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = mockedNow(context)
  const { names, asked } = resolver({ app: ['10.0.0.1'] })
  names.update(['app'])
  await tick(0, context.mock.timers)
  for (let turn = 0; turn < 10; turn++) names.ask('app')
  assert.equal(asked.length, 1)
  clock.now += 1000
  await tick(1000, context.mock.timers)
  assert.equal(asked.length, 2, 'what was asked too soon is done a little later')
  clock.now += 1500
  for (let turn = 0; turn < 10; turn++) names.ask('app')
  await tick(0, context.mock.timers)
  assert.equal(asked.length, 3)
  names.stop()
})

test('a name whose address fails moves on to its next, once around in the time of a refresh, and stays where it works', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = mockedNow(context)
  const { names, changes } = resolver({ localhost: ['::1', '127.0.0.1'] })
  const dead = new Set(['::1'])
  names.watch((_, address) => dead.has(address))
  names.update(['localhost'])
  await tick(0, context.mock.timers)
  assert.equal(names.get('localhost').address, '::1')
  names.ask('localhost')
  assert.equal(names.get('localhost').address, '127.0.0.1', 'at once')
  assert.equal(changes.length, 2)
  for (let second = 1; second <= 120; second++) {
    clock.now += 1000
    await tick(1000, context.mock.timers)
  }
  assert.equal(names.get('localhost').address, '127.0.0.1', 'it works there')
  dead.add('127.0.0.1')
  for (let second = 1; second <= 60; second++) {
    names.ask('localhost')
    clock.now += 1000
    await tick(1000, context.mock.timers)
  }
  assert.ok(changes.length >= 3 && changes.length <= 5, `${changes.length - 2} moves in a minute`)
  names.stop()
})

test('a name stays while one of its endpoints works where it is', async (context) => {
  const { names, changes } = resolver({ app: ['10.0.0.1', '10.0.0.2'] })
  context.after(() => names.stop())
  names.watch(() => false)
  names.update(['app'])
  await names.settled(1000)
  names.ask('app')
  assert.equal(names.get('app').address, '10.0.0.1')
  assert.deepEqual(changes, ['app'])
})

test('no more than two lookups run at once, and one that hangs holds up nobody beyond the time given', async () => {
  let running = 0
  let most = 0
  const hang = Promise.withResolvers<readonly string[]>()
  const names = new Names({
    lookup: async (host) => {
      running += 1
      most = Math.max(most, running)
      if (host === 'dead') await hang.promise
      await Promise.resolve()
      running -= 1
      return ['10.0.0.1']
    },
    onChange: () => {},
  })
  names.update(['dead', 'a', 'b', 'c', 'd'])
  const startedAt = performance.now()
  await names.settled(100)
  assert.ok(performance.now() - startedAt < 1000)
  assert.equal(most, 2)
  assert.deepEqual(
    ['a', 'b', 'c', 'd', 'dead'].map((host) => names.get(host).address),
    ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1', null],
  )
  names.stop()
  hang.resolve(['10.0.0.9'])
})

test('nothing is called after stop', async () => {
  const later = Promise.withResolvers<readonly string[]>()
  const changes: string[] = []
  const names = new Names({ lookup: () => later.promise, onChange: (host) => changes.push(host) })
  names.update(['app'])
  const settled = names.settled(60_000)
  names.stop()
  await settled
  later.resolve(['10.0.0.1'])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(changes, [])
})

function mockedNow(context: { readonly mock: { method(object: object, name: string, fn: () => number): unknown } }): {
  now: number
} {
  const clock = { now: 1000 }
  context.mock.method(performance, 'now', () => clock.now)
  return clock
}
