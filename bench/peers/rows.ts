/** What is measured: one entry per row of the table. A new capability adds its row here. */

export interface LoadRow {
  readonly kind: 'load'
  readonly name: string
  /** As it stands in the table. */
  readonly title: string
  readonly path: string
  readonly connections: number
  readonly headers: readonly string[]
  /** Data-plane workers (threads, processes) of each program. */
  readonly workers: number
  /** Each program runs twice, as two processes: the ratio between the two is the noise of the measurement. */
  readonly isTwin?: true
  /** nginx and HAProxy with buffers of 64 KiB instead of those they ship with. */
  readonly isLargeBuffers?: true
  /** Where CPU per request should get, as the ratio to the better of nginx and HAProxy. */
  readonly goal?: number
}

export interface IdleRow {
  readonly kind: 'idle'
  readonly name: string
  readonly title: string
  readonly path: string
  readonly connections: number
  readonly workers: number
  /** KiB per connection. */
  readonly goal?: number
}

export type Row = LoadRow | IdleRow

/** What a browser sends with a session: 16 fields with Host, about 900 bytes with the request line. */
export const BROWSER_FIELDS: readonly string[] = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Sec-CH-UA: "Chromium";v="131", "Not_A Brand";v="24"',
  'Sec-CH-UA-Platform: "Linux"',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cache-Control: max-age=0',
  'Referer: http://shop.example.com/catalogue/garden/tools?page=3&sort=price',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-User: ?1',
  'Upgrade-Insecure-Requests: 1',
  'DNT: 1',
  'Cookie: session=9f2c1a7e5b3d48c6a0e1f4b7d2c5a8e3; theme=dark; consent=analytics%3D0%26ads%3D0; cart=3.17.42.108; ' +
    'visitor=GA1.2.1837465920.1718902345; experiment=checkout-b; currency=EUR; last_seen=2026-11-20T10%3A15%3A00Z',
]

export const ROWS: readonly Row[] = [
  {
    kind: 'load',
    name: 'small',
    title: 'small answer, kept alive, 64 connections',
    path: '/small',
    connections: 64,
    headers: [],
    workers: 1,
    goal: 1.1,
  },
  {
    kind: 'load',
    name: 'browser',
    title: 'browser-sized request head (~900 bytes)',
    path: '/small',
    connections: 64,
    headers: BROWSER_FIELDS,
    workers: 1,
    goal: 1.15,
  },
  {
    kind: 'load',
    name: 'connect',
    title: 'new connection per request',
    path: '/small',
    connections: 64,
    headers: ['Connection: close'],
    workers: 1,
    goal: 1.6,
  },
  {
    kind: 'load',
    name: '64k',
    title: '64 KiB body',
    path: '/64k',
    connections: 64,
    headers: [],
    workers: 1,
    goal: 1.15,
  },
  {
    kind: 'load',
    name: '8m',
    title: '8 MiB body',
    path: '/8m',
    connections: 16,
    headers: [],
    workers: 1,
    goal: 1.1,
  },
  {
    kind: 'load',
    name: '64k-tuned',
    title: '64 KiB body, the others with 64 KiB buffers',
    path: '/64k',
    connections: 64,
    headers: [],
    workers: 1,
    isLargeBuffers: true,
  },
  {
    kind: 'load',
    name: '8m-tuned',
    title: '8 MiB body, the others with 64 KiB buffers',
    path: '/8m',
    connections: 16,
    headers: [],
    workers: 1,
    isLargeBuffers: true,
  },
  {
    kind: 'load',
    name: 'workers-2',
    title: 'small answer, kept alive, 2 workers',
    path: '/small',
    connections: 64,
    headers: [],
    workers: 2,
  },
  {
    kind: 'load',
    name: 'noise',
    title: 'A/A: the first row with every program twice',
    path: '/small',
    connections: 64,
    headers: [],
    workers: 1,
    isTwin: true,
  },
  {
    kind: 'idle',
    name: 'idle',
    title: 'memory per idle kept-alive connection',
    path: '/small',
    connections: 8000,
    workers: 1,
    goal: 8,
  },
]
