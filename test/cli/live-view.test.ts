import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { DEMO_SERVERS } from '../../src/cli/demo/cast.ts'
import {
  barOf,
  drawLiveView,
  drawPlainLine,
  drawStarting,
  type LiveViewState,
  sparkline,
} from '../../src/cli/demo/live-view.ts'
import { Fitness } from '../../src/memory/endpoint-table.ts'

const idle = { fitness: 0, perSecond: 0, share: 0, p50: null, p95: null, inFlight: 0 }

function state(changes: Partial<LiveViewState> = {}): LiveViewState {
  return {
    url: 'http://127.0.0.1:8080',
    statusCommand: 'evenkeel status',
    picker: 'round-robin',
    upMs: 3_723_000,
    isTrafficOn: true,
    hasKeys: true,
    servers: DEMO_SERVERS.map((traits) => ({ traits, state: 'up', port: 1 })),
    reading: {
      endpoints: [{ fitness: 0, perSecond: 10.25, share: 0.5, p50: 4.2, p95: 1234, inFlight: 3 }, idle, idle],
      perSecond: 20.5,
      p50: 8,
      p95: 40,
      answered: 1_234_567,
      failed: 0,
      retried: 2,
      history: [1, 2, 3, 4],
    },
    events: [{ atMs: 0, text: 'birch was killed' }],
    ...changes,
  }
}

describe('the live view', () => {
  test('fits every terminal', () => {
    for (const columns of [1, 20, 40, 60, 80, 100, 200]) {
      for (const rows of [1, 5, 12, 24, 60]) {
        for (const hasColours of [true, false]) {
          const lines = drawLiveView(state(), { columns, rows, hasColours })
          assert.ok(lines.length <= Math.max(1, rows - 1), `${lines.length} lines in ${rows} rows`)
          for (const line of lines)
            assert.ok(stripVTControlCharacters(line).length <= columns, `'${line}' in ${columns} columns`)
        }
      }
    }
  })

  test('in a low terminal keeps what is needed: how to leave, and each server', () => {
    const shown = (rows: number) => drawLiveView(state(), { columns: 100, rows, hasColours: false })
    assert.match(shown(15).at(-1)!, /1 2 3 kill a server.* q quit/)
    assert.match(shown(15).join('\n'), /curl -i/)
    for (const rows of [6, 8, 10]) {
      const text = shown(rows).join('\n')
      for (const part of ['q quit', 'amber', 'birch', 'cobalt'])
        assert.ok(text.includes(part), `${part} in ${rows}:\n${text}`)
    }
    assert.deepEqual(shown(2), [shown(15).at(-1)])
    assert.equal(shown(60).filter((line) => line.includes('birch was killed')).length, 1)
  })

  test('while it starts shows what is there already', () => {
    const parts = [
      { name: 'the server amber', isUp: true },
      { name: 'the balancer', isUp: false },
    ]
    const lines = drawStarting(parts, { columns: 60, rows: 20, hasColours: false })
    assert.deepEqual(lines.slice(1), ['  evenkeel demo  is starting', '', '  ● the server amber', '  ◌ the balancer'])
    assert.equal(drawStarting(parts, { columns: 10, rows: 3, hasColours: true }).length, 2)
  })

  test('shows the numbers, each server with its share, and what can be done', () => {
    const text = drawLiveView(state(), { columns: 100, rows: 40, hasColours: false }).join('\n')
    assert.doesNotMatch(text, /\x1b/)
    for (const part of [
      '20.5 requests/s',
      'p50 8.0 ms',
      'p95 40 ms',
      'answered 1 234 567',
      'failed 0',
      'retried 2',
      'up 1:02:03',
      'round-robin',
      'birch was killed',
      'q quit',
      'curl -i http://127.0.0.1:8080',
    ]) {
      assert.ok(text.includes(part), `${part} is not in\n${text}`)
    }
    assert.match(text, /1 {2}amber {3}● healthy {5}━+╸─+ +50 % +10\.3 +4\.2 ms +1\.2 s +3/)
    assert.match(text, /2 {2}birch {3}● healthy {5}─+ +0 % +0\.0 +– +– +0/)
  })

  test('with colours says the same as without', () => {
    const screen = { columns: 100, rows: 40 }
    const plain = drawLiveView(state(), { ...screen, hasColours: false })
    const coloured = drawLiveView(state(), { ...screen, hasColours: true })
    assert.deepEqual(coloured.map(stripVTControlCharacters), plain)
    assert.match(coloured.join(''), /\x1b\[/)
  })

  test('tells a killed server, one that starts, and one that waits for its checks apart', () => {
    const condition = (serverState: 'up' | 'starting' | 'stopped', fitness: number) => {
      const servers = [{ traits: DEMO_SERVERS[0]!, state: serverState, port: 1 }]
      const { reading } = state()
      const lines = drawLiveView(state({ servers, reading: { ...reading, endpoints: [{ ...idle, fitness }] } }), {
        columns: 100,
        rows: 40,
        hasColours: false,
      })
      return /amber {3}(. [a-z ]*[a-z])/.exec(lines.join('\n'))?.[1]
    }
    assert.equal(condition('up', 0), '● healthy')
    assert.equal(condition('stopped', 0), '○ just killed')
    assert.equal(condition('stopped', Fitness.PASSIVE), '○ killed')
    assert.equal(condition('starting', Fitness.PASSIVE), '◌ starting')
    assert.equal(condition('up', Fitness.UNHEALTHY), '◌ coming back')
    assert.equal(condition('up', Fitness.DRAINING), '◍ draining')
    assert.equal(condition('up', Fitness.MAINTENANCE), '◍ maintenance')
  })

  test('as one line has rates and shares', () => {
    assert.equal(
      drawPlainLine(state()),
      '20.5 requests/s, p50 8.0 ms, p95 40 ms, answered 1234567, failed 0; amber 50 %, birch 0 %, cobalt 0 %',
    )
  })
})

test('a bar has halves, and a track of the same width in all', () => {
  assert.deepEqual(barOf(0, 4), ['', '────'])
  assert.deepEqual(barOf(0.5, 4), ['━━', '──'])
  assert.deepEqual(barOf(0.6, 4), ['━━╸', '─'])
  assert.deepEqual(barOf(1, 4), ['━━━━', ''])
  assert.deepEqual(barOf(7, 4), ['━━━━', ''])
})

test('a sparkline goes from nothing to the peak', () => {
  assert.equal(sparkline([0, 5, 10], 10), '▁▅█')
  assert.equal(sparkline([-1, 20], 10), '▁█')
})
