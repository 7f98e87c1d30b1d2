import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drive, missingClients, type Through } from '../../scripts/clients.ts'

for (const through of ['demo', 'proxy'] as const satisfies readonly Through[]) {
  const command = through === 'demo' ? 'npm start' : 'evenkeel proxy'
  test(`curl, ab, wrk, a WebSocket client and a browser are served through ${command}`, async (t) => {
    const missing = missingClients()
    if (missing.length > 0) {
      t.skip(missing.join('; '))
      return
    }
    const failures = await drive(through, { isShort: true, log: (line) => t.diagnostic(line) })
    assert.deepEqual(failures, [])
  })
}
