/**
 * Clients and endpoints that do as they please, by a seed. Whatever they do: no answer reaches a request that it was not
 * for, none that was cut short looks whole, nothing throws, and in the end nothing is open.
 */
import assert from 'node:assert/strict'
import { createRandom } from '../../src/core/random.ts'
import { chunked, type Edge, type Message, type Script, sleep, type Wire, WireEnded, wire } from './harness.ts'

class Dice {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = createRandom(seed)
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!
  }

  /** Mostly small, sometimes beyond every buffer. */
  size(): number {
    return this.one([0, 1, 10, 1000, 2048, 5000, 70_000, 300_000])
  }
}

/** The body that belongs to a target, of the size that the target asks for. */
function bodyOf(target: string): string {
  const size = Number(new URL(target, 'http://x').searchParams.get('size'))
  return `${target}|`.repeat(Math.ceil(size / (target.length + 1))).slice(0, size)
}

function answerTo(request: Message, dice: Dice): string {
  const body = request.method === 'HEAD' ? '' : bodyOf(request.target)
  const head = 'HTTP/1.1 200 OK\r\nX-For: '
  if (request.method !== 'HEAD' && dice.chance(0.4)) {
    const pieces = body.match(new RegExp(`[^]{1,${1 + dice.below(9000)}}`, 'g')) ?? []
    const trailers = dice.chance(0.3) ? 'X-Sum: 1\r\n' : ''
    return `${head}${request.target}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(pieces, { trailers })}`
  }
  return `${head}${request.target}\r\nContent-Length: ${request.method === 'HEAD' ? 1234 : body.length}\r\n\r\n${body}`
}

function endpoint(dice: Dice): Script {
  return async (upstream) => {
    for (;;) {
      const head = await upstream.requestHead()
      const what = dice.below(24)
      if (what === 0) return upstream.close()
      if (what === 1) return upstream.reset()
      if (what === 2) {
        // An answer without a look at the body.
        upstream.write(answerTo(head, dice))
        await sleep(dice.below(20))
        return upstream.close()
      }
      if (what === 3) upstream.write('HTTP/1.1 103 Early Hints\r\n\r\n')
      if (what === 4) {
        upstream.stopReading()
        await sleep(dice.below(400))
        upstream.startReading()
      }
      const request = await upstream.body(head)
      const answer = answerTo(request, dice)
      if (what === 5) return void upstream.write(`HTTP/1.1 200 OK\r\nX-For: ${request.target}\r\nBad Field: 1\r\n\r\n`)
      if (what === 6) return void upstream.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n')
      if (what === 7) return void (await upstream.ending())
      if (what === 8 || what === 9) {
        upstream.write(answer.slice(0, dice.below(answer.length)))
        await sleep(dice.below(10))
        return what === 8 ? upstream.close() : upstream.reset()
      }
      if (what === 10) upstream.write(`${answer}HTTP/1.1 200 OK\r\nX-For: poison\r\nContent-Length: 6\r\n\r\npoison`)
      else if (what === 11) {
        upstream.write(
          `HTTP/1.1 200 OK\r\nX-For: ${request.target}\r\n\r\n${request.method === 'HEAD' ? '' : bodyOf(request.target)}`,
        )
        return upstream.close()
      } else if (what === 12) {
        for (let at = 0; at < answer.length; at += Math.ceil(answer.length / 5)) {
          upstream.write(answer.slice(at, at + Math.ceil(answer.length / 5)))
          await sleep(dice.below(5))
        }
      } else upstream.write(answer)
      if (what === 13) return upstream.end()
    }
  }
}

interface Ask {
  readonly method: string
  readonly target: string
  readonly text: string
}

function ask(dice: Dice, name: string): Ask {
  const target = `/${name}?size=${dice.size()}`
  const method = dice.one(['GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT'])
  const body = 'b'.repeat(dice.size())
  const line = `${method} ${target} HTTP/1.1\r\nHost: a\r\n`
  if (method === 'GET' || method === 'HEAD') return { method, target, text: `${line}\r\n` }
  const expect = dice.chance(0.1) ? 'Expect: 100-continue\r\n' : ''
  if (dice.chance(0.5)) return { method, target, text: `${line}${expect}Content-Length: ${body.length}\r\n\r\n${body}` }
  const pieces = body.match(/[^]{1,7000}/g) ?? []
  return { method, target, text: `${line}${expect}Transfer-Encoding: chunked\r\n\r\n${chunked(pieces)}` }
}

interface Tally {
  whole: number
  ours: number
  cut: number
}

/** One connection's life. Counts what came of its requests. */
async function clientLife(edge: Edge, dice: Dice, name: string, tally: Tally): Promise<void> {
  const client = await edge.connect()
  const asks = Array.from({ length: 1 + dice.below(6) }, (_, index) => ask(dice, `${name}-${index}`))
  const leaves = dice.below(12)
  const sending = (async () => {
    for (const { text } of asks) {
      if (client.isClosed) return
      if (dice.chance(0.3)) {
        const cut = dice.below(text.length)
        client.write(text.slice(0, cut))
        await sleep(dice.below(10))
        client.write(text.slice(cut))
      } else client.write(text)
      if (dice.chance(0.3)) await sleep(dice.below(20))
    }
    if (leaves === 0) client.reset()
    if (leaves === 1) client.close()
    if (leaves === 2) client.end()
    if (leaves === 3) client.write('GET / HTTP/1.1\r\nHost : x\r\n\r\n')
    if (leaves === 4) {
      client.stopReading()
      await sleep(dice.below(300))
      client.startReading()
    }
  })()
  try {
    for (const { method, target } of asks) await check(client, method, target, tally)
  } catch (error) {
    if (!(error instanceof WireEnded)) throw error
    tally.cut++
  }
  await sending
  client.close()
}

async function check(client: Wire, method: string, target: string, tally: Tally): Promise<void> {
  let answer = await client.answer(method)
  while (answer.status < 200) answer = await client.answer(method)
  if (answer.status === 200) {
    assert.equal(answer.field('x-for'), target, 'the answer to another request')
    if (method !== 'HEAD') assert.ok(answer.text === bodyOf(target), `${target}: ${answer.text.length} bytes`)
    tally.whole++
  } else {
    assert.ok([400, 408, 502, 503, 504].includes(answer.status), answer.head)
    assert.match(answer.head, /content-type: text\/plain/)
    tally.ours++
  }
}

for (const seed of [1, 2])
  wire(`seed ${seed}`, async (lab) => {
    const dice = new Dice(seed)
    const origins = [
      await lab.origin(endpoint(dice)),
      await lab.origin(endpoint(dice)),
      await lab.origin(endpoint(dice)),
    ]
    const edge = await lab.edge({
      origins: [...origins, await lab.deadEnd()],
      timeouts: { headMs: 500, bodyIdleMs: 400, sendIdleMs: 500, keepAliveMs: 500, exchangeMs: 1500, halfCloseMs: 200 },
      pool: { timeouts: { connectMs: 500, firstByteMs: 250, responseIdleMs: 250, keepAliveMs: 300, sendIdleMs: 300 } },
    })
    const tally: Tally = { whole: 0, ours: 0, cut: 0 }
    let next = 0
    const clients = Array.from({ length: 12 }, async () => {
      while (next < 150) await clientLife(edge, dice, `c${next++}`, tally)
    })
    await Promise.all(clients)
    assert.ok(tally.whole > 100, JSON.stringify(tally))
    // With the endpoints' connections closed nothing is left: the lab looks.
  })
