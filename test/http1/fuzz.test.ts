/** A short run of what `npm run fuzz` does for minutes. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { differential } from '../../scripts/fuzz/differential.ts'
import { fuzz } from '../../scripts/fuzz/run.ts'

const SEED = 20_260_112

describe('the fuzzer', () => {
  const requests: string[] = []

  it('finds nothing in 50 000 inputs, all of them held against the reference, a fifth and more accepted', () => {
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
    assert.equal(result.compared, 50_000)
    const share = result.accepted / result.inputs
    assert.ok(share >= 0.2 && share <= 0.8, `${share} were accepted`)
    assert.ok(result.refusals.size >= 24, `only ${[...result.refusals.keys()].join(', ')} were seen`)
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
