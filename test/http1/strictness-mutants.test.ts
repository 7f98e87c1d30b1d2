/** Runs the list of `strictness-mutants.ts`: every rule of the codec is held by an input that fails without it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as chunked from '../../src/http1/chunked.ts'
import * as requests from '../../src/http1/request-head-parser.ts'
import * as responses from '../../src/http1/response-head-parser.ts'
import * as target from '../../src/http1/target.ts'
import { MutantFolder } from './mutant-folder.ts'
import {
  CHUNKED_LIMITS,
  chunkedOutcome,
  type Outcome,
  REQUEST_LIMITS,
  RESPONSE_LIMITS,
  requestOutcome,
  responseOutcome,
} from './outcome.ts'
import { REFUSED_CHUNKS, REFUSED_REQUESTS, REFUSED_RESPONSES } from './rules.ts'
import { MUTANTS, type Mutant, OTHER_RULES } from './strictness-mutants.ts'

interface Codec {
  readonly requests: Pick<typeof requests, 'RequestHeadParser'>
  readonly responses: Pick<typeof responses, 'ResponseHeadParser'>
  readonly chunked: Pick<typeof chunked, 'ChunkedDecoder'>
  readonly target: Pick<typeof target, 'normalPath'>
}

const CODEC: Codec = { requests, responses, chunked, target }
const FOLDER = new MutantFolder()
after(() => FOLDER.remove())

/** The codec with the mutant's edits. */
async function build(mutant: Mutant): Promise<Codec> {
  const folder = FOLDER.build(mutant)
  const load = (file: string) => import(pathToFileURL(join(folder, 'src', 'http1', `${file}.ts`)).href)
  const [mutantRequests, mutantResponses, mutantChunked, mutantTarget] = await Promise.all([
    load('request-head-parser'),
    load('response-head-parser'),
    load('chunked'),
    load('target'),
  ])
  return { requests: mutantRequests, responses: mutantResponses, chunked: mutantChunked, target: mutantTarget }
}

function judge(codec: Codec, kind: Mutant['kind'], input: string): Outcome {
  switch (kind) {
    case 'request':
      return requestOutcome(input, [], new codec.requests.RequestHeadParser(REQUEST_LIMITS))
    case 'response':
      return responseOutcome(input, [], 1, new codec.responses.ResponseHeadParser(RESPONSE_LIMITS))
    case 'chunked':
      return chunkedOutcome(input, [], new codec.chunked.ChunkedDecoder(CHUNKED_LIMITS))
    case 'path':
      return judgePath(codec, input)
  }
}

function judgePath(codec: Codec, path: string): Outcome {
  const parser = new codec.requests.RequestHeadParser(REQUEST_LIMITS)
  const bytes = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`, 'latin1')
  assert.equal(parser.feed(bytes, 0, bytes.length), 1)
  const normal = codec.target.normalPath(parser.head)
  if (normal === null) return { status: 'error', code: 'EK_BAD_PATH', seen: bytes.length }
  return { status: 'done', consumed: bytes.length, message: { normal } }
}

describe('every strictness rule is held by inputs that the codec would accept without it', () => {
  MUTANTS.forEach((mutant, index) => {
    it(`${mutant.kind}: ${mutant.rule} (${mutant.code}, mutant ${index + 1})`, async () => {
      const codec = await build(mutant)
      for (const input of mutant.inputs) {
        const real = judge(CODEC, mutant.kind, input)
        assert.equal(real.status === 'error' && real.code, mutant.code, `the codec: ${JSON.stringify(input)}`)
        const without = judge(codec, mutant.kind, input)
        assert.equal(
          without.status,
          mutant.asksForMore ? 'more' : 'done',
          `the mutant: ${JSON.stringify(input)} ${JSON.stringify(without)}`,
        )
      }
    })
  })

  it('and no rule is left out', () => {
    const covered = new Set(MUTANTS.map((mutant) => mutant.rule))
    const rules = [...Object.keys({ ...REFUSED_REQUESTS, ...REFUSED_RESPONSES, ...REFUSED_CHUNKS }), ...OTHER_RULES]
    assert.deepEqual(
      rules.filter((rule) => !covered.has(rule)),
      [],
    )
    assert.deepEqual(
      [...covered].filter((rule) => !rules.includes(rule)),
      [],
    )
  })
})
