import assert from 'node:assert/strict'
import { test } from 'node:test'
import { METRICS } from '../../src/observe/metrics.ts'
import { Exposition, escapeLabelValue, labelText, sampleValue } from '../../src/observe/prometheus.ts'

/** A reader of label values, written from the format's description. */
function readBack(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character))
}

test('a label value of any text stays within its quotes and reads back', () => {
  const values = ['plain', '', 'a"b', 'a\\', '\\n', 'a\nb', '"} 1\nevil 2', 'ü😀', '\r\t\0', '\\"']
  for (const value of values) {
    const escaped = escapeLabelValue(value)
    assert.doesNotMatch(escaped, /\n|(?:^|[^\\])(?:\\\\)*"/)
    assert.equal(readBack(escaped), value)
  }
  assert.equal(escapeLabelValue('a\ud800b'), 'a\ufffdb')
  assert.equal(labelText({ pool: 'a"', worker: 3 }), 'pool="a\\"",worker="3"')
})

test('numbers are written as Go reads them', () => {
  assert.deepEqual(
    [0, 1.5, -0, 1e21, 1e-7, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN].map(sampleValue),
    ['0', '1.5', '0', '1e+21', '1e-7', '+Inf', '-Inf', 'NaN'],
  )
})

test('a histogram accumulates its buckets and ends with sum and count', () => {
  const page = new Exposition()
    .metric({ name: 'a_seconds', kind: 'histogram', labels: ['x'], help: 'Line\nand \\.' })
    .histogram('x="1"', ['0.1', '1', '+Inf'], [2, 0, 3], 4.5)
  assert.equal(
    page.toString(),
    `# HELP a_seconds Line\\nand \\\\.
# TYPE a_seconds histogram
a_seconds_bucket{x="1",le="0.1"} 2
a_seconds_bucket{x="1",le="1"} 2
a_seconds_bucket{x="1",le="+Inf"} 5
a_seconds_sum{x="1"} 4.5
a_seconds_count{x="1"} 5
`,
  )
})

test('every metric has one name, a sentence of help, a name by the style and labels from the glossary', () => {
  const names = METRICS.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  const labels = new Set([
    'pool',
    'endpoint',
    'worker',
    'listener',
    'class',
    'code',
    'reason',
    'hash',
    'version',
    'node',
  ])
  for (const { name, kind, help, labels: own } of METRICS) {
    assert.match(name, /^(evenkeel|process)_[a-z]+(_[a-z]+)*$/)
    assert.equal(name.endsWith('_total'), kind === 'counter', name)
    assert.match(help, /^[A-Z0-9].*\.$/, name)
    for (const label of own) assert.ok(labels.has(label), `${name}: ${label}`)
  }
})
