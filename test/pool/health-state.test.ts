import assert from 'node:assert/strict'
import { test } from 'node:test'
import { observeHealth, unknownHealth, Verdict } from '../../src/pool/health-state.ts'

const RULE = { rise: 2, fall: 3 }

function run(results: string, isCertain = false): { verdict: Verdict; turns: number } {
  const state = unknownHealth()
  let turns = 0
  for (const result of results) if (observeHealth(state, result === '+', RULE, isCertain)) turns += 1
  return { verdict: state.verdict, turns }
}

test('the first result settles an unknown endpoint, either way', () => {
  assert.deepEqual(run('+'), { verdict: Verdict.HEALTHY, turns: 1 })
  assert.deepEqual(run('-'), { verdict: Verdict.UNHEALTHY, turns: 1 })
})

test('it takes `fall` failures in a row to make a healthy endpoint unfit', () => {
  assert.equal(run('+--').verdict, Verdict.HEALTHY)
  assert.equal(run('+---').verdict, Verdict.UNHEALTHY)
  assert.equal(run('+--+--').verdict, Verdict.HEALTHY)
})

test('it takes `rise` good answers in a row to bring one back', () => {
  assert.equal(run('-+').verdict, Verdict.UNHEALTHY)
  assert.equal(run('-++').verdict, Verdict.HEALTHY)
  assert.equal(run('-+-+').verdict, Verdict.UNHEALTHY)
})

test('a failure that traffic saw first counts at once, a good answer then does not', () => {
  assert.equal(run('+-', true).verdict, Verdict.UNHEALTHY)
  assert.equal(run('-+', true).verdict, Verdict.UNHEALTHY)
})

test('a verdict that does not change turns nothing', () => {
  assert.equal(run('+++++').turns, 1)
  assert.equal(run('------').turns, 1)
})
