import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DRILLS, type Drill } from '../../scripts/drills.ts'

const WORDS: Readonly<Record<Drill['name'], string>> = {
  kill: 'a server that dies, ends or closes its connections fails no GET whose answer had not begun',
  reload: 'reloading every second fails no request and closes no WebSocket, and broken files are refused by name',
  worker: 'a worker that dies takes only its own connections along, and counts return to the truth',
  stop: 'SIGTERM under load: what was read is answered, connections end with a word, the process exits 0',
}

// Two at a time: each has a balancer and servers of its own, and most of it is waiting.
describe('drills', { concurrency: 2 }, () => {
  for (const { name, short } of DRILLS)
    test(WORDS[name], async (t) => {
      const { rows, failures } = await short((line) => t.diagnostic(line))
      for (const { what, seen } of rows) t.diagnostic(`${what}: ${seen}`)
      assert.deepEqual(failures, [])
    })
})
