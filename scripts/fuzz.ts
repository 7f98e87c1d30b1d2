/**
 * Fuzzes the HTTP/1.1 codec: `node scripts/fuzz.ts [--inputs N] [--seed S] [--reference-every N] [--differential N]`
 *
 * Valid requests and responses are mutated, mostly harmlessly, and each input is read whole and in pieces. Both must say
 * the same; what is accepted must hold the invariants (no CR, LF, NUL inside a line, fields that fill the head); and one
 * input in `--reference-every` is read by a second codec, made of regular expressions, which must agree.
 * Then `--differential` accepted requests are written as they go to an endpoint and read by node's http.Server, and by
 * nginx where it is installed (fuzz/differential.ts).
 *
 * Exits with 1 at the first finding, which is printed with its input. The defaults are what a release takes.
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { type DifferentialResult, differential } from './fuzz/differential.ts'
import { type FuzzResult, fuzz } from './fuzz/run.ts'
import { numberOption, runMain } from './run-main.ts'

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: '5000000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
      'reference-every': { type: 'string', default: '4' },
      differential: { type: 'string', default: '20000' },
    },
  })
  const inputs = numberOption('inputs', values.inputs, 1)
  const seed = numberOption('seed', values.seed, 0)
  const referenceEvery = numberOption('reference-every', values['reference-every'], 1)
  const samples = numberOption('differential', values.differential, 0)

  console.log(`seed ${seed}, ${inputs.toLocaleString('en')} inputs`)
  const requests: string[] = []
  const sampleEvery = Math.max(1, Math.floor((inputs * 0.2) / Math.max(1, samples)))
  let acceptedRequests = 0
  const result = fuzz({
    inputs,
    seed,
    referenceEvery,
    onProgress: (progress) => console.log(line(progress)),
    onAcceptedRequest: (text, end) => {
      if (requests.length < samples && acceptedRequests++ % sampleEvery === 0) requests.push(text.slice(0, end))
    },
  })
  report(result, seed)
  if (result.finding !== null) return 1
  if (samples === 0) return 0
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin`
  const hasNginx = spawnSync('nginx', ['-v'], { env: { ...process.env, PATH: path } }).status === 0
  if (!hasNginx) console.log('nginx is not installed: not read by it')
  let isAgreed = true
  for (const reader of hasNginx ? (['node', 'nginx'] as const) : (['node'] as const)) {
    isAgreed = (await readByOthers(reader, requests)) && isAgreed
  }
  return isAgreed ? 0 : 1
}

async function readByOthers(reader: 'node' | 'nginx', requests: readonly string[]): Promise<boolean> {
  const started = performance.now()
  const outcome = await differential(reader, requests)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(
    `${reader}: ${outcome.sent.toLocaleString('en')} forwarded requests in ${seconds} s, ${outcome.agreed.toLocaleString('en')} read the same, ${outcome.skipped} not forwarded`,
  )
  for (const [why, count] of outcome.explained) console.log(`  ${count.toLocaleString('en').padStart(8)}  ${why}`)
  reportDifference(outcome)
  return outcome.finding === null
}

function reportDifference({ reader, finding }: DifferentialResult): void {
  if (finding === null) return
  console.error(
    `FOUND by ${reader}: ${finding.what}\n  sent      ${JSON.stringify(finding.input)}\n  forwarded ${JSON.stringify(finding.forwarded)}\n  answer    ${JSON.stringify(finding.answer)}`,
  )
}

function report({ refusals, finding, ...rest }: FuzzResult, seed: number): void {
  console.log(`${line({ refusals, finding, ...rest })}; ${(rest.bytes / 1e6).toFixed(0)} MB`)
  console.log('refused, by rule:')
  for (const [code, count] of [...refusals].sort(([, a], [, b]) => b - a)) {
    console.log(`  ${code.padEnd(32)}${count.toLocaleString('en').padStart(12)}  ${percent(count, rest.inputs)}`)
  }
  if (finding === null) return
  const { what, input, cuts, index } = finding
  console.error(
    `FOUND at input ${index} of seed ${seed}: ${what}\n  ${JSON.stringify(input)}\n  cut at ${JSON.stringify(cuts)}`,
  )
}

function percent(part: number, whole: number): string {
  return `${((part / Math.max(1, whole)) * 100).toFixed(1)} %`
}

function line(progress: FuzzResult): string {
  const perSecond = Math.round((progress.inputs / Math.max(1, progress.milliseconds)) * 1000)
  return [
    `${progress.inputs.toLocaleString('en')} inputs`,
    `${perSecond.toLocaleString('en')}/s`,
    `accepted ${percent(progress.accepted, progress.inputs)}`,
    `heads accepted ${percent(progress.heads, progress.inputs)}`,
    `incomplete ${percent(progress.incomplete, progress.inputs)}`,
    `held against the reference ${progress.compared.toLocaleString('en')}`,
  ].join(', ')
}

if (import.meta.main) await runMain(main)
