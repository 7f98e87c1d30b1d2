/**
 * Fuzzes the HTTP/1.1 codec: `node scripts/fuzz.ts [--inputs N] [--seed S] [--reference-every N] [--differential N]`
 *
 * Valid requests and responses are mutated, mostly harmlessly, and each input is read whole and in pieces. Both must say
 * the same; what is accepted must hold the invariants (no CR, LF, NUL inside a line, fields that fill the head); and one
 * input in `--reference-every` is read by a second codec, made of regular expressions, which must agree on every input.
 * `--differential N` forwards that many accepted requests to node's own http.Server, see fuzz/differential.ts.
 *
 * Exits with 1 at the first finding, which is printed as a line that makes it again. The default is what a release takes.
 */
import { parseArgs } from 'node:util'
import { type FuzzResult, fuzz } from './fuzz/run.ts'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '5000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    'reference-every': { type: 'string', default: '4' },
    differential: { type: 'string', default: '0' },
  },
})
const inputs = Number(values.inputs)
const seed = Number(values.seed)
const referenceEvery = Math.max(1, Number(values['reference-every']))

function percent(part: number, whole: number): string {
  return `${((part / Math.max(1, whole)) * 100).toFixed(1)} %`
}

function line(result: FuzzResult): string {
  const perSecond = Math.round((result.inputs / Math.max(1, result.milliseconds)) * 1000)
  return [
    `${result.inputs.toLocaleString('en')} inputs`,
    `${perSecond.toLocaleString('en')}/s`,
    `accepted ${percent(result.accepted, result.inputs)}`,
    `heads accepted ${percent(result.heads, result.inputs)}`,
    `incomplete ${percent(result.incomplete, result.inputs)}`,
    `held against the reference ${result.compared.toLocaleString('en')}`,
  ].join(', ')
}

console.log(`seed ${seed}, ${inputs.toLocaleString('en')} inputs`)
const result = fuzz({ inputs, seed, referenceEvery, onProgress: (progress) => console.log(line(progress)) })
console.log(`${line(result)}; ${(result.bytes / 1e6).toFixed(0)} MB`)
console.log('refused, by rule:')
for (const [code, count] of [...result.refusals].sort(([, a], [, b]) => b - a)) {
  console.log(`  ${code.padEnd(32)}${count.toLocaleString('en').padStart(12)}  ${percent(count, result.inputs)}`)
}
if (result.finding !== null) {
  const { what, input, cuts, index } = result.finding
  console.error(`FOUND at input ${index} of seed ${seed}: ${what}\n  ${JSON.stringify(input)}\n  cut at ${JSON.stringify(cuts)}`)
  process.exitCode = 1
}
