/**
 * Reads load reports that endpoints send with their answers (ORCA, Open Request Cost Aggregation), in the three forms of one
 * field:
 *
 *     endpoint-load-metrics: TEXT cpu_utilization=0.3, rps_fractional=100, named_metrics.queue=7
 *     endpoint-load-metrics: JSON {"cpu_utilization": 0.3, "named_metrics": {"queue": 7}}
 *     endpoint-load-metrics: BIN <base64 of xds.data.orca.v3.OrcaLoadReport>
 *
 * and in gRPC's `endpoint-load-metrics-bin` and the older `endpoint-load-metrics-json`, which hold the value without the word.
 * Sources: https://github.com/envoyproxy/envoy/issues/6614 (design), cncf/xds xds/data/orca/v3/orca_load_report.proto (fields
 * and ranges), Envoy's source/common/orca/orca_parser.cc (forms; TEXT with `:`; documented elsewhere with `=`, both are read).
 *
 * An endpoint is not trusted here: what is too long, malformed or repeated makes the report void, a number out of its
 * range or a name that is not known is left out and counted. Nothing throws.
 */

/** What an endpoint says of itself. Undefined: not said (in protobuf also: 0, which is not sent). */
export interface OrcaReport {
  /** Share of CPU, 0 to `MAX_UTILIZATION`; above 1: beyond what the endpoint calls full. */
  cpuUtilization?: number
  /** Share of memory, 0 to 1. */
  memUtilization?: number
  /** The application's own idea of its load, 0 to `MAX_UTILIZATION`. */
  applicationUtilization?: number
  /** Requests per second that the endpoint serves, from everyone. 0 to `MAX_RATE`. From `rps_fractional`, else from `rps`. */
  rps?: number
  /** Of them failed, per second. 0 to `MAX_RATE`. */
  eps?: number
  /** By name: shares from 0 to 1. */
  readonly utilization: Map<string, number>
  /** By name: what this request cost, in units of the application's own. */
  readonly requestCost: Map<string, number>
  /** By name: anything. */
  readonly namedMetrics: Map<string, number>
}

/** Why a report is void. */
export type OrcaProblem =
  | 'too-long'
  | 'unknown-format'
  | 'malformed-text'
  | 'malformed-json'
  | 'malformed-base64'
  | 'malformed-protobuf'
  | 'repeated-name'

/** `ignored`: entries that were left out, as their name or number is none that may be. */
export type OrcaResult =
  | { readonly ok: true; readonly report: OrcaReport; readonly ignored: number }
  | { readonly ok: false; readonly problem: OrcaProblem }

/** The fields that may hold a report, lower case, the one to prefer first. */
export const ORCA_FIELDS = ['endpoint-load-metrics-bin', 'endpoint-load-metrics', 'endpoint-load-metrics-json'] as const
export type OrcaField = (typeof ORCA_FIELDS)[number]

/** Characters of a value that are looked at; a longer one is void. */
export const MAX_REPORT_LENGTH = 8192
/** Entries in the three maps together; further ones are left out. */
export const MAX_NAMED_VALUES = 64
/** Characters of a name, from `!` to `~`; a longer or other one is left out. */
export const MAX_NAME_LENGTH = 128
/** A utilisation above this is a mistake of units, as 100 may be the percentage of a full CPU but not a load of one. */
export const MAX_UTILIZATION = 100
/** Per second. */
export const MAX_RATE = 1e9

/** Reads the value of one of `ORCA_FIELDS`. */
export function parseOrcaReport(field: OrcaField, value: string): OrcaResult {
  if (value.length > MAX_REPORT_LENGTH) return { ok: false, problem: 'too-long' }
  const reader = new ReportReader()
  const text = value.trim()
  const problem = parseInto(reader, field, text)
  return problem === null ? { ok: true, report: reader.report, ignored: reader.ignored } : { ok: false, problem }
}

function parseInto(reader: ReportReader, field: OrcaField, text: string): OrcaProblem | null {
  switch (field) {
    case 'endpoint-load-metrics-bin':
      return readBinary(reader, text)
    case 'endpoint-load-metrics-json':
      return readJson(reader, text)
    case 'endpoint-load-metrics': {
      const rest = text.slice(4).trim()
      if (text.startsWith('TEXT ')) return readText(reader, rest)
      if (text.startsWith('JSON ')) return readJson(reader, rest)
      if (text.startsWith('BIN ')) return readBinary(reader, rest)
      return 'unknown-format'
    }
  }
}

type Scalar = 'cpuUtilization' | 'memUtilization' | 'applicationUtilization' | 'rps' | 'eps'
type Named = 'utilization' | 'requestCost' | 'namedMetrics'

/** Field numbers and names of the message; `rps` (3) is the older whole-number form of `rps_fractional` (6). */
const SCALARS: readonly { number: number; name: string; key: Scalar; max: number }[] = [
  { number: 1, name: 'cpu_utilization', key: 'cpuUtilization', max: MAX_UTILIZATION },
  { number: 2, name: 'mem_utilization', key: 'memUtilization', max: 1 },
  { number: 6, name: 'rps_fractional', key: 'rps', max: MAX_RATE },
  { number: 7, name: 'eps', key: 'eps', max: MAX_RATE },
  { number: 9, name: 'application_utilization', key: 'applicationUtilization', max: MAX_UTILIZATION },
]
const OLD_RPS = 3
const MAPS: readonly { number: number; name: string; key: Named }[] = [
  { number: 4, name: 'request_cost', key: 'requestCost' },
  { number: 5, name: 'utilization', key: 'utilization' },
  { number: 8, name: 'named_metrics', key: 'namedMetrics' },
]

/** Fills a report, minding ranges and bounds. */
class ReportReader {
  readonly report: OrcaReport = { utilization: new Map(), requestCost: new Map(), namedMetrics: new Map() }
  ignored = 0
  #hasFractional = false
  #named = 0

  scalar(key: Scalar, value: number, max: number): void {
    if (!(value >= 0 && value <= max)) {
      this.ignored++
      return
    }
    if (key === 'rps') this.#hasFractional = true
    this.report[key] = value
  }

  /** Only until the fractional one is seen, whichever comes first. */
  oldRps(value: number): void {
    if (!(value >= 0 && value <= MAX_RATE)) this.ignored++
    else if (!this.#hasFractional) this.report.rps = value
  }

  named(key: Named, name: string, value: number): void {
    const isInRange = key === 'utilization' ? value >= 0 && value <= 1 : Number.isFinite(value)
    const map = this.report[key]
    if (!isInRange || !NAME.test(name) || name.length > MAX_NAME_LENGTH) {
      this.ignored++
    } else if (map.has(name)) {
      map.set(name, value)
    } else if (this.#named < MAX_NAMED_VALUES) {
      this.#named++
      map.set(name, value)
    } else {
      this.ignored++
    }
  }

  /** An entry by its full name, as in TEXT: `cpu_utilization`, `named_metrics.queue`. */
  entry(name: string, value: number): void {
    const scalar = SCALARS.find((row) => row.name === name)
    if (scalar !== undefined) return this.scalar(scalar.key, value, scalar.max)
    if (name === 'rps') return this.oldRps(value)
    const map = MAPS.find((row) => name.startsWith(`${row.name}.`))
    if (map !== undefined) return this.named(map.key, name.slice(map.name.length + 1), value)
    this.ignored++
  }
}

/** Printable ASCII without space. */
const NAME = /^[!-~]+$/
/** A decimal number; without what `Number` also takes: nothing at all, hexadecimal, Infinity. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

/** NaN for what is no number. */
function numberOf(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN
}

function readText(reader: ReportReader, text: string): OrcaProblem | null {
  const seen = new Set<string>()
  for (const entry of text.split(',')) {
    const separator = entry.search(/[=:]/)
    if (separator < 0) return 'malformed-text'
    const name = entry.slice(0, separator).trim()
    const value = numberOf(entry.slice(separator + 1).trim())
    if (name === '' || Number.isNaN(value)) return 'malformed-text'
    if (seen.has(name)) return 'repeated-name'
    seen.add(name)
    reader.entry(name, value)
  }
  return null
}

function readJson(reader: ReportReader, text: string): OrcaProblem | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return 'malformed-json'
  }
  if (!isRecord(parsed)) return 'malformed-json'
  for (const [key, value] of Object.entries(parsed)) {
    // Null is proto3's JSON for not set.
    if (value === null) continue
    const name = snakeCase(key)
    if (MAPS.some((row) => row.name === name)) {
      if (!isRecord(value)) return 'malformed-json'
      for (const [inner, number] of Object.entries(value)) reader.entry(`${name}.${inner}`, jsonNumber(number))
    } else {
      reader.entry(name, jsonNumber(value))
    }
  }
  return null
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** proto3's JSON allows numbers as strings, and sends 64-bit ones so. */
function jsonNumber(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' ? numberOf(value) : Number.NaN
}

/** proto3's JSON writes names as `cpuUtilization` and reads `cpu_utilization` too. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function readBinary(reader: ReportReader, text: string): OrcaProblem | null {
  const bytes = decodeBase64(text)
  if (bytes === null || bytes.length === 0) return 'malformed-base64'
  return readMessage(reader, new WireReader(bytes)) ? null : 'malformed-protobuf'
}

function readMessage(reader: ReportReader, wire: WireReader): boolean {
  while (wire.next()) {
    const scalar = SCALARS.find((row) => row.number === wire.field)
    const map = MAPS.find((row) => row.number === wire.field)
    if (scalar !== undefined) {
      if (wire.type !== WireType.FIXED64) return false
      reader.scalar(scalar.key, wire.number, scalar.max)
    } else if (wire.field === OLD_RPS) {
      if (wire.type !== WireType.VARINT) return false
      reader.oldRps(wire.number)
    } else if (map !== undefined) {
      if (wire.type !== WireType.BYTES || !readMapEntry(reader, map.key, wire.bytes)) return false
    }
  }
  return !wire.isBroken
}

/** `map<string, double>` is a repeated message of key = 1 and value = 2; what is left out is "" or 0. */
function readMapEntry(reader: ReportReader, key: Named, bytes: Uint8Array): boolean {
  const wire = new WireReader(bytes)
  let name = ''
  let value = 0
  while (wire.next()) {
    if (wire.field === 1) {
      if (wire.type !== WireType.BYTES) return false
      // Bytes as characters: names are ASCII, and what is not will not pass for one.
      name = wire.bytes.length > MAX_NAME_LENGTH ? '' : String.fromCharCode(...wire.bytes)
    } else if (wire.field === 2) {
      if (wire.type !== WireType.FIXED64) return false
      value = wire.number
    }
  }
  if (wire.isBroken) return false
  reader.named(key, name, value)
  return true
}

const WireType = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const

/** Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), field by field; groups are not in use. */
class WireReader {
  field = 0
  type = 0
  /** Of a varint (NaN at 2^53 and above), or a fixed64 read as a double. */
  number = 0
  /** Of a length-delimited field: a view. */
  bytes: Uint8Array = new Uint8Array(0)
  isBroken = false
  readonly #source: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(source: Uint8Array) {
    this.#source = source
    this.#view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  }

  /** False at the end, and when the bytes make no sense (`isBroken`). */
  next(): boolean {
    if (this.#at >= this.#source.length) return false
    const tag = this.#varint()
    this.field = Math.floor(tag / 8)
    this.type = tag % 8
    // Field numbers have 29 bits and begin at 1.
    if (!(this.field >= 1 && this.field < 2 ** 29)) return this.#break()
    switch (this.type) {
      case WireType.VARINT:
        this.number = this.#varint()
        return !this.isBroken
      case WireType.FIXED64:
        if (this.#source.length - this.#at < 8) return this.#break()
        this.number = this.#view.getFloat64(this.#at, true)
        this.#at += 8
        return true
      case WireType.FIXED32:
        if (this.#source.length - this.#at < 4) return this.#break()
        this.#at += 4
        return true
      case WireType.BYTES: {
        const length = this.#varint()
        if (!(length <= this.#source.length - this.#at)) return this.#break()
        this.bytes = this.#source.subarray(this.#at, this.#at + length)
        this.#at += length
        return true
      }
      default:
        return this.#break()
    }
  }

  /** At most ten bytes; NaN for what a double does not hold exactly, and with `isBroken` when it does not end. */
  #varint(): number {
    let value = 0
    let factor = 1
    for (let count = 0; count < 10; count++) {
      const byte = this.#source[this.#at]
      if (byte === undefined) break
      this.#at++
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN
      factor *= 0x80
    }
    this.#break()
    return Number.NaN
  }

  #break(): false {
    this.isBroken = true
    return false
  }
}

/** Six bits by character code of both alphabets of RFC 4648 (sections 4 and 5); 64: not one of them. */
const SIX_BITS = new Uint8Array(128).fill(64)
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
for (let value = 0; value < 64; value++) SIX_BITS[ALPHABET.charCodeAt(value)] = value
SIX_BITS['-'.charCodeAt(0)] = 62
SIX_BITS['_'.charCodeAt(0)] = 63

/** Base64 with or without padding (gRPC sends it without); null when it is none. */
function decodeBase64(text: string): Uint8Array | null {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (padding > 0 && text.length % 4 !== 0) return null
  const length = text.length - padding
  if (length % 4 === 1) return null
  const bytes = new Uint8Array(Math.floor((length * 3) / 4))
  let held = 0
  let heldBits = 0
  let at = 0
  for (let index = 0; index < length; index++) {
    const six = SIX_BITS[text.charCodeAt(index)] ?? 64
    if (six === 64) return null
    held = ((held << 6) | six) & 0xffff
    heldBits += 6
    if (heldBits >= 8) {
      heldBits -= 8
      bytes[at++] = held >>> heldBits
    }
  }
  return bytes
}
