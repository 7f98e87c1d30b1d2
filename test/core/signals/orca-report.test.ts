import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_NAME_LENGTH,
  MAX_NAMED_VALUES,
  MAX_RATE,
  MAX_REPORT_LENGTH,
  MAX_UTILIZATION,
  ORCA_FIELDS,
  type OrcaField,
  type OrcaReport,
  parseOrcaReport,
} from '../../../src/core/signals/orca-report.ts'

const MAIN = 'endpoint-load-metrics'
const BIN = 'endpoint-load-metrics-bin'
const JSON_FIELD = 'endpoint-load-metrics-json'

function read(field: OrcaField, value: string): OrcaReport & { ignored: number } {
  const result = parseOrcaReport(field, value)
  assert.ok(result.ok, `${value}: ${result.ok ? '' : result.problem}`)
  return { ...result.report, ignored: result.ignored }
}

function problem(field: OrcaField, value: string): string {
  const result = parseOrcaReport(field, value)
  assert.ok(!result.ok, `${value} was taken`)
  return result.problem
}

// A writer of the wire format, for the tests only.
const varint = (value: bigint): number[] =>
  value < 0x80n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...varint(value >> 7n)]
const tag = (field: number, type: number): number[] => varint(BigInt(field * 8 + type))
const double = (field: number, value: number): number[] => [
  ...tag(field, 1),
  ...new Uint8Array(Float64Array.of(value).buffer),
]
const bytes = (field: number, content: readonly number[]): number[] => [
  ...tag(field, 2),
  ...varint(BigInt(content.length)),
  ...content,
]
const entry = (field: number, name: string, value: number): number[] =>
  bytes(field, [...bytes(1, [...Buffer.from(name)]), ...double(2, value)])
const base64 = (...parts: number[][]): string => Buffer.from(parts.flat()).toString('base64')

describe('a report as TEXT', () => {
  test('is read with = and with :, whatever the spaces', () => {
    for (const value of [
      'TEXT cpu_utilization=0.3,mem_utilization=0.8,rps_fractional=10.0,eps=1,named_metrics.custom_metric_util=0.4',
      'TEXT cpu_utilization:0.3, mem_utilization:0.8, rps_fractional:10, eps:1e0, named_metrics.custom_metric_util:.4',
      ' TEXT  cpu_utilization = 0.3 ,mem_utilization= 0.8,rps_fractional=1e1,eps=+1,named_metrics.custom_metric_util=0.4 ',
    ]) {
      const report = read(MAIN, value)
      assert.deepEqual(report, {
        cpuUtilization: 0.3,
        memUtilization: 0.8,
        rps: 10,
        eps: 1,
        namedMetrics: new Map([['custom_metric_util', 0.4]]),
        requestCost: new Map(),
        utilization: new Map(),
        ignored: 0,
      })
    }
  })

  test('knows all fields, the old rps only where there is no fractional one', () => {
    const report = read(MAIN, 'TEXT application_utilization=1.5,utilization.disk=0.2,request_cost.db=3487,rps=7')
    assert.equal(report.applicationUtilization, 1.5)
    assert.deepEqual(
      [...report.utilization, ...report.requestCost],
      [
        ['disk', 0.2],
        ['db', 3487],
      ],
    )
    assert.equal(report.rps, 7)
    assert.equal(read(MAIN, 'TEXT rps_fractional=7.5,rps=7').rps, 7.5)
    assert.equal(read(MAIN, 'TEXT rps=7,rps_fractional=7.5').rps, 7.5)
  })

  test('is void when it is malformed', () => {
    for (const value of [
      'TEXT ',
      'TEXT x',
      'TEXT =1',
      'TEXT eps=',
      'TEXT eps=abc',
      'TEXT eps=0x10',
      'TEXT eps=1,',
      'TEXT eps=Infinity',
      'TEXT eps=NaN',
      'TEXT eps=1e',
      'TEXT eps=1 2',
    ]) {
      assert.ok(['malformed-text', 'unknown-format'].includes(problem(MAIN, value)), value)
    }
    assert.equal(problem(MAIN, 'TEXT eps=1,cpu_utilization=0.2, eps=1'), 'repeated-name')
    for (const value of ['', 'eps=1', 'text eps=1', 'XML <a/>', 'TEXTeps=1'])
      assert.equal(problem(MAIN, value), 'unknown-format')
  })
})

describe('a report as JSON', () => {
  test('is read in both spellings of names, with numbers as strings, and null as not said', () => {
    const wanted = {
      cpuUtilization: 0.3,
      rps: 12,
      eps: 0,
      namedMetrics: new Map([['queue', 7]]),
      requestCost: new Map(),
      utilization: new Map(),
      ignored: 0,
    }
    for (const value of [
      '{"cpu_utilization": 0.3, "rps_fractional": 12, "eps": 0, "named_metrics": {"queue": 7}}',
      '{"cpuUtilization": "0.3", "rpsFractional": 12, "eps": 0, "namedMetrics": {"queue": "7"}, "memUtilization": null}',
      '{"cpu_utilization": 0.3, "rps": "12", "eps": 0, "named_metrics": {"queue": 7}}',
    ]) {
      assert.deepEqual(read(JSON_FIELD, value), wanted)
      assert.deepEqual(read(MAIN, `JSON ${value}`), wanted)
    }
  })

  test('is void when it is no object of the right form', () => {
    for (const value of [
      '',
      '{',
      '[]',
      '1',
      'null',
      '"x"',
      '{"named_metrics": 3}',
      '{"named_metrics": [1]}',
      '['.repeat(8000),
    ]) {
      assert.equal(problem(JSON_FIELD, value), 'malformed-json', value.slice(0, 30))
    }
  })

  test('leaves out values that are no numbers, and is no way to a prototype', () => {
    const report = read(
      JSON_FIELD,
      '{"cpu_utilization": {"a": 1}, "eps": true, "named_metrics": {"__proto__": 5, "constructor": 6, "x": "y"}}',
    )
    assert.deepEqual([report.cpuUtilization, report.eps, report.ignored], [undefined, undefined, 3])
    assert.deepEqual(
      [...report.namedMetrics],
      [
        ['__proto__', 5],
        ['constructor', 6],
      ],
    )
    assert.equal(({} as { x?: number }).x, undefined)
  })
})

describe('a report as protobuf', () => {
  test("is read from Envoy's own example", () => {
    // cpu 0.5, rps_fractional 100, eps 2, named_metrics {rif: 4}; from the tests of Envoy's parser.
    const value = 'CQAAAAAAAOA/MQAAAAAAAFlAOQAAAAAAAABAQg4KA3JpZhEAAAAAAAAQQA=='
    const wanted = {
      cpuUtilization: 0.5,
      rps: 100,
      eps: 2,
      namedMetrics: new Map([['rif', 4]]),
      requestCost: new Map(),
      utilization: new Map(),
      ignored: 0,
    }
    assert.deepEqual(read(BIN, value), wanted)
    assert.deepEqual(read(MAIN, `BIN ${value}`), wanted)
    assert.deepEqual(read(BIN, value.replace(/=+$/, '')), wanted)
    assert.deepEqual(read(BIN, value.replaceAll('/', '_')), wanted)
  })

  test('is read in all its fields, and past those of later versions', () => {
    const value = base64(
      double(1, 0.25),
      double(2, 0.5),
      [...tag(3, 0), ...varint(300n)],
      entry(4, 'db', 12.5),
      entry(5, 'disk', 0.75),
      double(7, 1.5),
      entry(8, 'a', -3),
      entry(8, 'b', 0),
      bytes(8, bytes(1, [99])),
      double(9, 1.25),
      [...tag(99, 0), ...varint(2n ** 64n - 1n)],
      [...tag(100, 5), 1, 2, 3, 4],
      bytes(101, [1, 2, 3]),
    )
    assert.deepEqual(read(BIN, value), {
      cpuUtilization: 0.25,
      memUtilization: 0.5,
      rps: 300,
      eps: 1.5,
      applicationUtilization: 1.25,
      requestCost: new Map([['db', 12.5]]),
      utilization: new Map([['disk', 0.75]]),
      namedMetrics: new Map([
        ['a', -3],
        ['b', 0],
        ['c', 0],
      ]),
      ignored: 0,
    })
    assert.equal(read(BIN, base64([...tag(3, 0), ...varint(5n)], double(6, 5.5))).rps, 5.5)
    assert.equal(read(BIN, base64(double(6, 5.5), [...tag(3, 0), ...varint(5n)])).rps, 5.5)
    assert.equal(read(BIN, base64([...tag(3, 0), ...varint(2n ** 64n - 1n)])).ignored, 1)
  })

  test('is void cut short anywhere but between two fields', () => {
    const fields = [double(1, 0.25), entry(8, 'queue', 7), double(7, 2)]
    const ends = new Set([fields[0]!.length, fields[0]!.length + fields[1]!.length])
    const whole = fields.flat()
    for (let length = 1; length < whole.length; length++) {
      assert.equal(parseOrcaReport(BIN, base64(whole.slice(0, length))).ok, ends.has(length), `${length} bytes`)
    }
  })

  test('is void with fields of the wrong kind, groups, and varints without end', () => {
    for (const wrong of [
      [...tag(1, 0), 1],
      [...tag(3, 1), 0, 0, 0, 0, 0, 0, 0, 0],
      double(8, 1),
      [...tag(8, 2), 200],
      bytes(8, [...tag(1, 0), 1]),
      bytes(8, [...tag(2, 0), 1]),
      [...tag(11, 3), ...tag(11, 4)],
      [0x00, 0x00],
      [0x88, ...new Array<number>(11).fill(0x80), 1],
      [...tag(8, 2), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ]) {
      assert.equal(problem(BIN, base64(wrong)), 'malformed-protobuf', wrong.join())
    }
  })

  test('is void when it is no base64', () => {
    for (const value of ['', '=', 'A', 'AAAAA', 'A===', 'AA=', 'A A=', 'AAA*', 'é', 'AA==AA==', '\u{1F600}']) {
      assert.equal(problem(BIN, value), 'malformed-base64', value)
    }
  })
})

describe('from an endpoint that cannot be trusted', () => {
  test('numbers out of range are left out and counted, those at the ends are taken', () => {
    const ranges = [
      ['cpu_utilization', MAX_UTILIZATION],
      ['application_utilization', MAX_UTILIZATION],
      ['mem_utilization', 1],
      ['utilization.disk', 1],
      ['eps', MAX_RATE],
      ['rps', MAX_RATE],
      ['rps_fractional', MAX_RATE],
    ] as const
    for (const [name, max] of ranges) {
      for (const good of [0, max]) assert.equal(read(MAIN, `TEXT ${name}=${good}`).ignored, 0, `${name}=${good}`)
      for (const bad of ['-0.001', `${max * 1.001}`, '1e999']) {
        const report = read(MAIN, `TEXT ${name}=${bad},named_metrics.x=1`)
        assert.equal(report.ignored, 1, `${name}=${bad}`)
        assert.equal(report.namedMetrics.get('x'), 1)
      }
    }
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
      assert.equal(read(BIN, base64(double(1, value))).ignored, 1)
    }
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY])
      assert.equal(read(BIN, base64(entry(8, 'x', value))).ignored, 1)
  })

  test('names are bounded in length, number and characters', () => {
    const names = ['', 'a b', 'é', '\n', 'x'.repeat(MAX_NAME_LENGTH + 1)]
    for (const name of names) assert.equal(read(BIN, base64(entry(8, name, 1))).ignored, 1, JSON.stringify(name))
    assert.equal(read(BIN, base64(entry(8, 'x'.repeat(MAX_NAME_LENGTH), 1))).ignored, 0)
    const many = Array.from({ length: MAX_NAMED_VALUES + 5 }, (_, i) => `named_metrics.m${i}=1`).join()
    const report = read(MAIN, `TEXT ${many}`)
    assert.deepEqual([report.namedMetrics.size, report.ignored], [MAX_NAMED_VALUES, 5])
    assert.equal(read(MAIN, 'TEXT unheard_of=3').ignored, 1)
  })

  test('a value that is too long is void, whatever it is', () => {
    for (const field of ORCA_FIELDS) assert.equal(problem(field, 'A'.repeat(MAX_REPORT_LENGTH + 1)), 'too-long')
  })

  test('nothing throws, and what is read is in range', () => {
    const fromBytes = fc.uint8Array({ maxLength: 200 }).map((content) => Buffer.from(content).toString('base64'))
    const likely = fc.string({
      unit: fc.constantFrom(
        'TEXT ',
        'JSON ',
        'BIN ',
        'eps',
        'cpu_utilization',
        '=',
        ':',
        ',',
        '1',
        '-',
        '.',
        'e9',
        '{',
        '}',
        '"',
        'named_metrics.',
        'x',
        ' ',
        'A',
      ),
      maxLength: 30,
    })
    const mutated = fc.tuple(fc.nat(60), fc.nat(255)).map(([at, byte]) => {
      const good = Buffer.from([double(1, 0.5), entry(8, 'queue', 7), entry(5, 'disk', 0.5), double(9, 1)].flat())
      good[at % good.length] = byte
      return good.toString('base64')
    })
    fc.assert(
      fc.property(
        fc.constantFrom(...ORCA_FIELDS),
        fc.oneof(fromBytes, likely, mutated, fc.string(), fc.json()),
        (field, value) => {
          const result = parseOrcaReport(field, value)
          if (!result.ok) return
          const { report } = result
          const inRange = (number: number | undefined, max: number): boolean =>
            number === undefined || (number >= 0 && number <= max)
          assert.ok(
            inRange(report.cpuUtilization, MAX_UTILIZATION) && inRange(report.applicationUtilization, MAX_UTILIZATION),
          )
          assert.ok(inRange(report.memUtilization, 1) && inRange(report.rps, MAX_RATE) && inRange(report.eps, MAX_RATE))
          for (const number of report.utilization.values()) assert.ok(inRange(number, 1))
          for (const number of [...report.namedMetrics.values(), ...report.requestCost.values()])
            assert.ok(Number.isFinite(number))
        },
      ),
      { numRuns: 3000, seed: 5 },
    )
  })
})
