import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { sharedNowMs } from '../../src/memory/shared-clock.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { MORE_SIGNALS, SharedSignals, SIGNAL_NAMES } from '../../src/memory/signals.ts'

function memory() {
  return createSharedMemory({ endpoints: 4, workers: 1, pools: 1, listeners: 1, addresses: 16, workerCounters: 1 })
}

describe('signals', () => {
  test('of every fixed name, and of further ones that were asked for, are seen by every thread', () => {
    const shared = memory()
    const [writer, reader] = [new SharedSignals(shared), new SharedSignals(shared)]
    reader.column('named_metrics.queue')
    for (const [index, name] of [...SIGNAL_NAMES, 'named_metrics.queue'].entries()) {
      assert.equal(writer.report(name, 2, index + 0.5, 1000 + index), true)
      assert.equal(reader.column(name).values[2], index + 0.5)
      assert.equal(reader.column(name).atMs[2], 1000 + index)
      assert.equal(reader.column(name).atMs[1], 0)
    }
  })

  test('of a name that nobody asked for are not noted', () => {
    const signals = new SharedSignals(memory())
    assert.equal(signals.report('queue', 0, 1, 1), false)
    assert.equal(signals.find('queue'), null)
  })

  test('beyond the room for names are never heard, and take nobody else’s column', () => {
    const signals = new SharedSignals(memory())
    for (let index = 0; index < MORE_SIGNALS; index++) signals.column(`s${index}`)
    assert.equal(signals.column('late').atMs[0], 0)
    assert.equal(signals.report('late', 0, 1, 1), false)
    for (let index = 0; index < MORE_SIGNALS; index++) assert.equal(signals.report(`s${index}`, 0, index, 1), true)
    for (let index = 0; index < MORE_SIGNALS; index++) assert.equal(signals.column(`s${index}`).values[0], index)
  })

  test('are forgotten when the slot gets another owner', () => {
    const table = new EndpointTable(memory())
    const first = table.allocate(1, 0)!
    table.signals.report('cpu', first.slot, 0.9, 5)
    table.retire(first.slot)
    assert.equal(table.tryFree(first.slot), true)
    const second = table.allocate(1, 0)!
    assert.equal(second.slot, first.slot)
    assert.equal(table.signals.column('cpu').atMs[second.slot], 0)
    assert.equal(table.signals.column('cpu').values[second.slot], 0)
  })
})

test('all threads read one clock', async () => {
  const url = new URL('../../src/memory/shared-clock.ts', import.meta.url).href
  const code = `import('${url}').then(({ sharedNowMs }) => require('node:worker_threads').parentPort.postMessage(sharedNowMs()))`
  const before = sharedNowMs()
  const there = await new Promise<unknown>((resolve) => new Worker(code, { eval: true }).once('message', resolve))
  const after = sharedNowMs()
  assert.ok(
    typeof there === 'number' && there >= before - 1 && there <= after + 1,
    `${before} ${String(there)} ${after}`,
  )
})
