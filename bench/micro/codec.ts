/**
 * What the codec costs: nanoseconds per run and per byte. Run: `node bench/micro/codec.ts [part of a name…]`
 *
 * Rounds are short and many, and take turns over the cases, so that a neighbour on the machine spoils some rounds and
 * not a case: the lower quartile is what the code costs, the median what it cost today. All cases are warmed up before
 * the first is timed, so the code is as polymorphic as in a worker that serves all of them.
 */
import { ChunkedDecoder } from '../../src/http1/chunked.ts'
import { MethodId } from '../../src/http1/head.ts'
import { ParseStatus, RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { ResponseHeadParser } from '../../src/http1/response-head-parser.ts'
import { normalHost, normalPath } from '../../src/http1/target.ts'

const LIMITS = { requestLineBytes: 8192, headBytes: 32_768, fieldCount: 100 }
const requests = new RequestHeadParser(LIMITS)
const responses = new ResponseHeadParser({ headBytes: 65_536, fieldCount: 200 })
responses.expect(MethodId.GET)
const chunked = new ChunkedDecoder({ trailerBytes: 8192, fieldCount: 32 })

const ROUNDS = 200
const ROUND_NS = 1_500_000

interface Case {
  readonly name: string
  /** Bytes read by one run. */
  readonly bytes: number
  /** Nanoseconds that a run should not take; undefined: no aim. */
  readonly aimNs?: number
  run(): void
}

const SMALL_HEAD = 'GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: w\r\n\r\n'

const BROWSER_HEAD = [
  'GET /shop/articles/4711-blue-kettle?utm_source=newsletter&utm_medium=email HTTP/1.1',
  'Host: shop.example.com',
  'Connection: keep-alive',
  'Cache-Control: max-age=0',
  'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"',
  'sec-ch-ua-mobile: ?0',
  'sec-ch-ua-platform: "Linux"',
  'Upgrade-Insecure-Requests: 1',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: navigate',
  'Referer: https://shop.example.com/shop/articles',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=9f1c2d7be04a4c5ab0d3; cart=3; consent=1; theme=dark; variant=b; last_seen=4711,4712,4713; currency=EUR; _id=GS1.1.1720000000.12.1.1720000600.0.0.0',
  '',
  '',
].join('\r\n')

const RESPONSE_HEAD = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Mon, 01 Jan 2024 00:00:00 GMT',
  'Content-Type: text/plain',
  'Content-Length: 100',
  'Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT',
  'Connection: keep-alive',
  'ETag: "65920080-64"',
  'Accept-Ranges: bytes',
  '',
  '',
].join('\r\n')

const CASES: readonly Case[] = [
  requestCase('request, small', SMALL_HEAD, 350),
  requestCase('request, browser', BROWSER_HEAD, 1500),
  splitRequestCase('request, browser, in 2 chunks', BROWSER_HEAD, Math.floor(BROWSER_HEAD.length / 2)),
  splitRequestCase('request, browser, byte by byte', BROWSER_HEAD, 1),
  responseCase('response, 8 fields', RESPONSE_HEAD),
  normalFormCase('normal path and host', BROWSER_HEAD),
  chunkedCase('chunked, 16 × 4 KiB', 16, 4096),
  chunkedCase('chunked, 256 × 16 B', 256, 16),
]

function requestCase(name: string, head: string, aimNs: number): Case {
  const bytes = Buffer.from(head)
  return {
    name,
    bytes: bytes.length,
    aimNs,
    run: () => expectDone(requests.feed(bytes, 0, bytes.length)),
  }
}

function splitRequestCase(name: string, head: string, size: number): Case {
  const bytes = Buffer.from(head)
  return {
    name,
    bytes: bytes.length,
    run: () => {
      let status: number = ParseStatus.MORE
      for (let start = 0; start < bytes.length; start += size) {
        status = requests.feed(bytes, start, Math.min(bytes.length, start + size))
      }
      expectDone(status)
    },
  }
}

function responseCase(name: string, head: string): Case {
  const bytes = Buffer.from(head)
  return { name, bytes: bytes.length, run: () => expectDone(responses.feed(bytes, 0, bytes.length)) }
}

function normalFormCase(name: string, head: string): Case {
  const bytes = Buffer.from(head)
  const parser = new RequestHeadParser(LIMITS)
  expectDone(parser.feed(bytes, 0, bytes.length))
  return {
    name,
    bytes: parser.head.queryStart - parser.head.pathStart + parser.head.authorityEnd - parser.head.authorityStart,
    run: () => {
      if (normalPath(parser.head) === null || normalHost(parser.head) === null) throw new Error('refused')
    },
  }
}

function chunkedCase(name: string, chunks: number, size: number): Case {
  const chunk = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`
  const bytes = Buffer.from(`${chunk.repeat(chunks)}0\r\n\r\n`)
  let total = 0
  const sink = {
    chunkData(_bytes: Buffer, start: number, end: number) {
      total += end - start
    },
  }
  return {
    name,
    bytes: bytes.length,
    run: () => {
      expectDone(chunked.feed(bytes, 0, bytes.length, sink))
      if (total % size !== 0) throw new Error('data is missing')
    },
  }
}

function expectDone(status: number): void {
  if (status !== ParseStatus.DONE) throw new Error(`status ${status}`)
}

/** How many runs fill a round. */
function runsPerRound(one: Case): number {
  let runs = 1
  for (;;) {
    const ns = time(one, runs)
    if (ns > ROUND_NS / 4) return Math.max(1, Math.round((runs * ROUND_NS) / ns))
    runs *= 4
  }
}

function time(one: Case, runs: number): number {
  const start = process.hrtime.bigint()
  for (let i = 0; i < runs; i++) one.run()
  return Number(process.hrtime.bigint() - start)
}

const wanted = process.argv.slice(2)
const rows = CASES.map((one) => ({ one, runs: runsPerRound(one), ns: [] as number[] }))
for (let round = 0; round < ROUNDS; round++) {
  for (const { one, runs, ns } of rows) ns.push(time(one, runs) / runs)
}

console.log(`Node ${process.version}, ${ROUNDS} rounds of ${ROUND_NS / 1e6} ms`)
console.log(`${'case'.padEnd(32)}  bytes   quartile ns     median   per byte   aim`)
for (const { one, ns } of rows) {
  if (wanted.length > 0 && !wanted.some((part) => one.name.includes(part))) continue
  ns.sort((a, b) => a - b)
  const quartile = ns[ROUNDS >> 2]!
  const columns = [
    quartile.toFixed(0).padStart(14),
    ns[ROUNDS >> 1]!.toFixed(0).padStart(11),
    (quartile / one.bytes).toFixed(2).padStart(11),
  ]
  const aim = one.aimNs === undefined ? '' : `   ${one.aimNs} ${quartile <= one.aimNs ? 'met' : 'MISSED'}`
  console.log(`${one.name.padEnd(32)}${String(one.bytes).padStart(7)}${columns.join('')}${aim}`)
}
