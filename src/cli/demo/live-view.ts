/** The demo's picture: from readings to lines. Pure, so that it can be looked at in a test. */
import { stripVTControlCharacters, styleText } from 'node:util'
import { Fitness } from '../../memory/endpoint-table.ts'
import type { DemoServerTraits } from './cast.ts'
import type { EndpointReading, MeterReading } from './meter.ts'
import type { ServerState } from './server-process.ts'

export interface LiveViewState {
  readonly url: string
  /** Null without an admin API. */
  readonly statusCommand: string | null
  readonly picker: string
  readonly upMs: number
  readonly isTrafficOn: boolean
  readonly hasKeys: boolean
  readonly servers: readonly { readonly traits: DemoServerTraits; readonly state: ServerState; readonly port: number }[]
  readonly reading: MeterReading
  /** Of what happened, the newest last. */
  readonly events: readonly { readonly atMs: number; readonly text: string }[]
}

export interface Screen {
  readonly columns: number
  readonly rows: number
  readonly hasColours: boolean
}

type Format = Parameters<typeof styleText>[0]
type Paint = (format: Format, text: string) => string

const SPARKS = '▁▂▃▄▅▆▇█'
const WIDEST = 100
/** Of a server's row: number, name, state, percentage, margin on the right. */
const FIXED_COLUMNS = 35
const LEAST_BAR = 10

/** What is on the screen: at most `rows` lines of at most `columns` characters. */
export function drawLiveView(state: LiveViewState, screen: Screen): string[] {
  const paint = painter(screen)
  const width = Math.max(40, Math.min(WIDEST, screen.columns))
  const [rate = '', facts = ''] = drawTraffic(state, width, paint)
  const [titles = '', ...servers] = drawServers(state, width, paint)
  const blank = { line: '', worth: Worth.SPACE }
  const keys = state.hasKeys ? [blank, { line: drawKeys(state, paint), worth: Worth.KEYS }] : []
  const rows = [
    { line: '', worth: Worth.MARGIN },
    { line: drawTitle(state, width, paint), worth: Worth.SERVER },
    blank,
    { line: rate, worth: Worth.RATE },
    { line: facts, worth: Worth.FACTS },
    blank,
    { line: titles, worth: Worth.TITLES },
    ...servers.map((line) => ({ line, worth: Worth.SERVER })),
    blank,
    ...drawTips(state, width, paint).map((line) => ({ line, worth: Worth.TIP })),
    ...keys,
    { line: '', worth: Worth.MARGIN },
  ]
  const most = Math.max(1, screen.rows - 1)
  const events = drawEvents(state, Math.max(0, Math.min(8, most - rows.length)), paint)
  return [...mostWorth(rows, most), ...events].map((line) => cut(line, screen.columns))
}

/** What is on the screen until there is something to measure. */
export function drawStarting(
  parts: readonly { readonly name: string; readonly isUp: boolean }[],
  screen: Screen,
): string[] {
  const paint = painter(screen)
  const lines = [
    `  ${paint('bold', 'evenkeel demo')}  ${paint('dim', 'is starting')}`,
    '',
    ...parts.map(({ name, isUp }) => `  ${isUp ? paint('green', '●') : paint('yellow', '◌')} ${name}`),
  ]
  return ['', ...lines].slice(0, Math.max(1, screen.rows - 1)).map((line) => cut(line, screen.columns))
}

/** How much a line is worth where there is no room for all: how to get out and who answers come before what is pretty. */
const Worth = { MARGIN: 0, SPACE: 1, TIP: 2, RATE: 3, TITLES: 4, FACTS: 5, SERVER: 6, KEYS: 7 } as const

/** At most so many of the lines, in their order: those worth least are left out, of equals the last. */
function mostWorth(rows: readonly { readonly line: string; readonly worth: number }[], most: number): string[] {
  const kept = new Set(
    rows
      .map((row, index) => ({ index, ...row }))
      .sort((a, b) => b.worth - a.worth)
      .slice(0, most)
      .map(({ index }) => index),
  )
  return rows.flatMap(({ line }, index) => (kept.has(index) ? [line] : []))
}

function painter({ hasColours }: Screen): Paint {
  return (format, text) => (hasColours ? styleText(format, text, { validateStream: false }) : text)
}

/** One line for an output that is not a terminal. */
export function drawPlainLine({ reading, servers }: LiveViewState): string {
  const shares = servers.map(({ traits }, index) => {
    const { share, fitness } = reading.endpoints[index]!
    return `${traits.name} ${percent(share)}${fitness === 0 ? '' : ' (out)'}`
  })
  const { perSecond, p50, p95, answered, failed } = reading
  return `${perSecond.toFixed(1)} requests/s, p50 ${time(p50)}, p95 ${time(p95)}, answered ${answered}, failed ${failed}; ${shares.join(', ')}`
}

function drawTitle(state: LiveViewState, width: number, paint: Paint): string {
  const left = `  ${paint('bold', 'evenkeel demo')}  ${paint(['cyan', 'underline'], state.url)}`
  const right = paint('dim', `${state.picker} · up ${clock(state.upMs)}`)
  return spread(left, right, width)
}

function drawTraffic({ reading, isTrafficOn }: LiveViewState, width: number, paint: Paint): string[] {
  const { perSecond, p50, p95, answered, failed, retried, history } = reading
  const room = Math.min(60, width - 22)
  const peak = Math.max(1, ...history)
  const label = `${perSecond.toFixed(1)} requests/s`.padEnd(16)
  const spark = sparkline(history.slice(-room), peak).padStart(room)
  const facts = [
    `p50 ${paint('bold', time(p50))}`,
    `p95 ${paint('bold', time(p95))}`,
    `answered ${paint('bold', grouped(answered))}`,
    `failed ${paint(failed > 0 ? ['red', 'bold'] : ['green', 'bold'], grouped(failed))}`,
    `retried ${paint('bold', grouped(retried))}`,
  ]
  if (!isTrafficOn) facts.push(paint('yellow', 'own traffic off'))
  return [`  ${paint('bold', label)}  ${paint('cyan', spark)}`, `  ${facts.join(paint('dim', ' · '))}`]
}

function drawServers({ servers, reading }: LiveViewState, width: number, paint: Paint): string[] {
  const numbers = [
    { title: 'req/s', width: 7, of: ({ perSecond }: EndpointReading) => perSecond.toFixed(1) },
    { title: 'p50', width: 9, of: ({ p50 }: EndpointReading) => time(p50) },
    { title: 'p95', width: 9, of: ({ p95 }: EndpointReading) => time(p95) },
    { title: 'running', width: 9, of: ({ inFlight }: EndpointReading) => String(inFlight) },
  ]
  // Where there is little room, the columns on the right go first.
  const roomFor = () => width - FIXED_COLUMNS - numbers.reduce((sum, column) => sum + column.width, 0)
  while (numbers.length > 1 && roomFor() < LEAST_BAR) numbers.pop()
  const bar = Math.max(LEAST_BAR, roomFor())
  const titles = numbers.map((column) => column.title.padStart(column.width)).join('')
  const head = `     ${'server'.padEnd(8)}${'state'.padEnd(14)}${'share'.padEnd(bar + 6)}${titles}`
  const rows = servers.map(({ traits, state }, index) => {
    const own = reading.endpoints[index]!
    const { text, format } = condition(state, own.fitness)
    const isOut = own.fitness !== 0 || state === 'stopped'
    const [line, track] = barOf(own.share, bar)
    const values = numbers.map((column) => column.of(own).padStart(column.width)).join('')
    return [
      `  ${paint('dim', String(index + 1))}  `,
      paint(isOut ? 'dim' : [traits.colour, 'bold'], traits.name.padEnd(8)),
      paint(format, text.padEnd(14)),
      paint(traits.colour, line) + paint('dim', track),
      paint(traits.colour, percent(own.share).padStart(6)),
      isOut ? paint('dim', values) : values,
    ].join('')
  })
  return [paint('dim', head), ...rows]
}

/** The server's own state and what the balancer makes of it, in one word. */
function condition(state: ServerState, fitness: number): { text: string; format: Format } {
  if (state === 'stopped') return { text: fitness === 0 ? '○ just killed' : '○ killed', format: 'red' }
  if (state === 'starting') return { text: '◌ starting', format: 'yellow' }
  if (fitness === 0) return { text: '● healthy', format: 'green' }
  if ((fitness & (Fitness.DRAINING | Fitness.MAINTENANCE)) !== 0) {
    return { text: (fitness & Fitness.DRAINING) !== 0 ? '◍ draining' : '◍ maintenance', format: 'yellow' }
  }
  // It is up again, and the balancer waits for its checks to say so.
  return { text: '◌ coming back', format: 'yellow' }
}

function drawTips({ url, statusCommand }: LiveViewState, width: number, paint: Paint): string[] {
  const lines: [string, string][] = [
    [`open ${url} in a browser`, 'to see who answers'],
    [`curl -i ${url}`, 'or ask yourself'],
  ]
  if (statusCommand !== null) lines.push([statusCommand, 'what the balancer says of itself'])
  const column = Math.max(...lines.map(([what]) => what.length)) + 3
  return lines.map(([what, why]) =>
    width < column + why.length + 4 ? `  ${what}` : `  ${what.padEnd(column)}${paint('dim', why)}`,
  )
}

function drawKeys({ isTrafficOn, servers }: LiveViewState, paint: Paint): string {
  const key = (text: string) => paint('bold', text)
  const numbers = servers.map((_, index) => String(index + 1)).join(' ')
  return `  ${key(numbers)} ${paint('dim', 'kill a server, or start it again')}   ${key('q')} ${paint('dim', 'quit')}   ${key('t')} ${paint('dim', `traffic ${isTrafficOn ? 'off' : 'on'}`)}`
}

function drawEvents({ events }: LiveViewState, most: number, paint: Paint): string[] {
  if (most === 0) return []
  return events
    .slice(-most)
    .map(({ atMs, text }) => `  ${paint('dim', new Date(atMs).toTimeString().slice(0, 8))}  ${text}`)
}

/** A share as a line, in halves of a character, and the rest of its track: `barOf(0.5, 3)` is `━╸` and `─`. */
export function barOf(ratio: number, width: number): [line: string, track: string] {
  const halves = Math.round(Math.max(0, Math.min(1, ratio)) * width * 2)
  const line = `${'━'.repeat(halves >> 1)}${(halves & 1) === 1 ? '╸' : ''}`
  return [line, '─'.repeat(width - line.length)]
}

/** One character per value, from `▁` for nothing to `█` for the peak. */
export function sparkline(values: readonly number[], peak: number): string {
  return values.map((value) => SPARKS[Math.min(7, Math.round((Math.max(0, value) / peak) * 7))]!).join('')
}

function time(ms: number | null): string {
  if (ms === null) return '–'
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`
}

function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ' ')
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0'))
  return seconds < 3600 ? parts.join(':') : `${Math.floor(seconds / 3600)}:${parts.join(':')}`
}

function spread(left: string, right: string, width: number): string {
  const gap = width - visible(left) - visible(right)
  return gap < 2 ? left : `${left}${' '.repeat(gap)}${right}`
}

function visible(text: string): number {
  return stripVTControlCharacters(text).length
}

/** Cuts a painted line to a width; what is cut off ends unpainted. */
function cut(line: string, columns: number): string {
  if (visible(line) <= columns) return line
  let seen = 0
  let at = 0
  while (at < line.length && seen < columns) {
    // Our only control sequences are colours: ESC [ … m.
    if (line[at] === '\x1b') at = line.indexOf('m', at) + 1
    else {
      seen++
      at++
    }
  }
  return line.includes('\x1b') ? `${line.slice(0, at)}\x1b[0m` : line.slice(0, at)
}
