/** A short run of what `npm run fuzz` does for minutes. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { differential } from '../../scripts/fuzz/differential.ts'
import { type FuzzOptions, type FuzzResult, fuzz } from '../../scripts/fuzz/run.ts'
import { MutantFolder } from './mutant-folder.ts'
import { MUTANTS } from './strictness-mutants.ts'

const SEED = 20_260_112

describe('the fuzzer', () => {
  const requests: string[] = []

  it('finds nothing in 50 000 inputs, nearly all held against the reference, a fifth and more accepted', () => {
    const result = fuzz({
      inputs: 50_000,
      seed: SEED,
      referenceEvery: 1,
      onAcceptedRequest: (text, end) => {
        if (requests.length < 1500) requests.push(text.slice(0, end))
      },
    })
    assert.equal(result.finding, null)
    assert.equal(result.inputs, 50_000)
    assert.ok(result.compared > 45_000)
    const share = result.accepted / result.inputs
    assert.ok(share >= 0.2 && share <= 0.8, `${share} were accepted`)
    assert.ok(result.refusals.size >= 28, `only ${[...result.refusals.keys()].join(', ')} were seen`)
  })

  it('makes the same inputs of the same seed', () => {
    const counts = () => {
      const { accepted, heads, bytes } = fuzz({ inputs: 2000, seed: 5, referenceEvery: 2000 })
      return { accepted, heads, bytes }
    }
    assert.deepEqual(counts(), counts())
  })

  it("has what it accepted read by node's http.Server to the same requests", async () => {
    assert.equal(requests.length, 1500)
    const result = await differential('node', requests)
    assert.equal(result.finding, null)
    assert.ok(result.agreed > 1300, `${result.agreed} of ${result.sent}`)
  })
})

/** What smuggling is made of: a fuzzer that does not find the codec without one of these finds nothing. */
const MUST_BE_FOUND = [
  'a field line ends in CRLF',
  'a field does not continue on the next line',
  'no white space before a colon',
  'Content-Length is digits',
  'Content-Length stands once',
  'Content-Length and Transfer-Encoding do not stand together',
  'the only transfer coding is chunked',
  'Host stands once',
  'a size is hexadecimal digits',
  'a size line ends in CRLF',
  'data ends in CRLF',
  'an extension has no control byte, CR or LF',
]

describe('the fuzzer finds the codec that lacks a rule', () => {
  const folder = new MutantFolder()
  after(() => folder.remove())

  for (const rule of MUST_BE_FOUND) {
    it(rule, async () => {
      const mutants = MUTANTS.filter((mutant) => mutant.rule === rule)
      assert.ok(mutants.length > 0)
      for (const mutant of mutants) {
        const { href } = pathToFileURL(join(folder.build(mutant), 'scripts', 'fuzz', 'run.ts'))
        const mutated: { fuzz(options: FuzzOptions): FuzzResult } = await import(href)
        assert.notEqual(mutated.fuzz({ inputs: 60_000, seed: SEED, referenceEvery: 1 }).finding, null)
      }
    })
  }
})
