import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createApi } from '../../src/service/api.ts'
import { ControlCalls } from '../../src/service/control-calls.ts'
import { RateLimit } from '../../src/service/rate-limit.ts'
import { StatusReader } from '../../src/service/status.ts'
import { TokenFile } from '../../src/service/token-file.ts'
import { memoryFor, viewOf } from './harness.ts'

test('the reference page lists exactly the routes of the API', () => {
  const api = createApi(
    {
      view: () => viewOf({}),
      reader: new StatusReader(memoryFor(1, 1)),
      calls: new ControlCalls(() => {}, 1000),
      lateMs: () => 0,
      log: () => {},
    },
    {
      boundHost: null,
      readsNeedToken: false,
      token: new TokenFile('/dev/null/token'),
      writes: new RateLimit(1, 1, 1),
      allowWorkerKill: true,
    },
  )
  const served = api.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`)
  const page = readFileSync(new URL('../../docs/reference/admin-api.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| (GET|POST|PUT|PATCH|DELETE) \| `([^`]+)` \|/gm)].map(
    ([, method, path]) => `${method} ${path}`,
  )
  assert.deepEqual(documented.toSorted(), [...new Set(served)].toSorted())
})
