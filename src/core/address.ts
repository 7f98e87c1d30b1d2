/**
 * Addresses as text and as values: what listeners bind, what workers connect to, and address blocks.
 *
 * Pure: nothing is resolved here. A host may therefore still be a name (`localhost`), which control resolves
 * before it goes into a plan.
 */

/** Where to listen or connect. `host` is an IPv4 or IPv6 literal without brackets, or a name that is yet to be resolved. */
export type SocketAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number; readonly ipv6Only: boolean }
  | { readonly kind: 'unix'; readonly path: string }

/** A reading of text that may fail: the value, or why not and (where one is near) what was probably meant. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

/** A block of addresses: 16 bytes (IPv4 mapped into `::ffff:0:0/96`) and how many leading bits count, 0 to 128. */
export interface AddressBlock {
  readonly bytes: Uint8Array
  readonly bits: number
}

/** `sun_path` holds 108 bytes on Linux with its closing NUL (104 on macOS): the smaller one is promised everywhere. */
const UNIX_PATH_BYTES = 103

/**
 * Reads what a listener binds.
 *
 * `:8080` is every address of both families (the dual-stack `::`), `[::]:8080` the same, `0.0.0.0:8080` every IPv4
 * address, `localhost:80` a name, `unix:/run/evenkeel.sock` a unix socket. Port 0 lets the kernel choose.
 */
export function parseBind(text: string): Reading<SocketAddress> {
  if (text.startsWith('unix:')) return parseUnixPath(text.slice('unix:'.length))
  if (/^\d+$/.test(text)) return wrong('the port stands alone', `write ':${text}' for every address`)
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text)
  if (scheme) return wrong('an address to bind has no scheme', `write '${scheme[2]?.replace(/\/.*$/, '') ?? ''}'`)
  if (text.startsWith('/')) return wrong('a path needs its prefix', `write 'unix:${text}'`)
  const parts = splitHostPort(text)
  if (!parts.ok) return parts
  const { host, portText } = parts.value
  if (portText === undefined) return wrong('the port is missing', `write '${text}:8080'`)
  const port = parsePort(portText, 0)
  if (!port.ok) return port
  if (host === '*') return wrong("'*' is not an address", `write ':${portText}' for every address`)
  return right({ kind: 'ip', host: host === '' ? '::' : host, port: port.value, ipv6Only: false })
}

/**
 * Reads where an endpoint is: `http://host:port` (port 80 when left out), `http://[::1]:8080`, `unix:/path.sock`.
 * A path, query, user or another scheme is refused: an endpoint is an address, the request brings its own target.
 */
export function parseEndpointUrl(text: string): Reading<SocketAddress> {
  if (text.startsWith('unix:')) return parseUnixPath(text.slice('unix:'.length))
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)
  if (!scheme) {
    if (text.startsWith('/')) return wrong('a path needs its prefix', `write 'unix:${text}'`)
    return wrong("it must start with 'http://' or 'unix:'", text === '' ? undefined : `write 'http://${text}'`)
  }
  const name = scheme[1]?.toLowerCase()
  if (name === 'https') {
    const host = text
      .slice('https://'.length)
      .replace(/[/?#].*$/s, '')
      .replace(/^.*@/s, '')
    return wrong('TLS towards endpoints is not spoken yet', host === '' ? undefined : `write 'http://${host}'`)
  }
  if (name !== 'http')
    return wrong(`the scheme '${name}' is not spoken here`, "write 'http://host:port' or 'unix:/path'")
  let rest = text.slice('http://'.length)
  const slash = rest.search(/[/?#]/)
  if (slash >= 0) {
    if (rest.slice(slash) !== '/') {
      return wrong('an endpoint has no path, the request brings its own', `write 'http://${rest.slice(0, slash)}'`)
    }
    rest = rest.slice(0, slash)
  }
  if (rest.includes('@'))
    return wrong('an endpoint has no user or password', `write 'http://${rest.slice(rest.lastIndexOf('@') + 1)}'`)
  const parts = splitHostPort(rest)
  if (!parts.ok) return parts
  const { host, portText } = parts.value
  if (host === '')
    return wrong('the host is missing', `write 'http://127.0.0.1${portText === undefined ? '' : `:${portText}`}'`)
  const port = portText === undefined ? right(80) : parsePort(portText, 1)
  if (!port.ok) return port
  return right({ kind: 'ip', host: host.toLowerCase(), port: port.value, ipv6Only: false })
}

/** An address as people write it: `127.0.0.1:80`, `[::1]:80`, `unix:/path`. */
export function formatAddress(address: SocketAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Does listening here take every interface of the machine? */
export function isEveryInterface(address: SocketAddress): boolean {
  if (address.kind === 'unix') return false
  const bytes = parseIp(address.host)
  if (bytes === null) return false
  const isMapped = isIpv4Mapped(bytes)
  for (let index = isMapped ? 12 : 0; index < 16; index++) if (bytes[index] !== 0) return false
  return true
}

/** The 16 bytes of an IPv4 (mapped) or IPv6 literal, null when it is neither. Zones (`%eth0`) are refused. */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : mapIpv4(parseIpv4(text))
}

/** Is it `::ffff:a.b.c.d`, as every IPv4 address is held here? */
export function isIpv4Mapped(bytes: Uint8Array): boolean {
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

/** Reads `10.0.0.0/8`, `::1/128`, or a single address. Bits set outside the block are refused: they hide a slip. */
export function parseBlock(text: string): Reading<AddressBlock> {
  const slash = text.indexOf('/')
  const addressText = slash < 0 ? text : text.slice(0, slash)
  const bytes = parseIp(addressText)
  if (bytes === null)
    return wrong('it is not an IPv4 or IPv6 address or block', "write '10.0.0.0/8' or '2001:db8::/32'")
  const isIpv4 = !addressText.includes(':')
  const width = isIpv4 ? 32 : 128
  if (slash < 0) return right({ bytes, bits: 128 })
  const bitsText = text.slice(slash + 1)
  const bits = /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : -1
  if (bits < 0 || bits > width) return wrong(`the prefix length must be 0 to ${width}`)
  const significant = isIpv4 ? bits + 96 : bits
  const network = maskBytes(bytes, significant)
  if (network.some((byte, index) => byte !== bytes[index])) {
    return wrong('bits are set outside the block', `write '${formatIp(network, isIpv4)}/${bits}'`)
  }
  return right({ bytes, bits: significant })
}

/** Is the address (16 bytes) inside the block? O(16). */
export function blockContains(block: AddressBlock, address: Uint8Array): boolean {
  const whole = block.bits >> 3
  for (let index = 0; index < whole; index++) if (block.bytes[index] !== address[index]) return false
  const rest = block.bits & 7
  if (rest === 0) return true
  const mask = (0xff00 >> rest) & 0xff
  return (block.bytes[whole]! & mask) === (address[whole]! & mask)
}

function parseUnixPath(path: string): Reading<SocketAddress> {
  if (!path.startsWith('/')) {
    return wrong(
      'the path of a unix socket must be absolute',
      path.startsWith('//') || path === '' ? "write 'unix:/run/app.sock'" : `write 'unix:/${path}'`,
    )
  }
  if (path.includes('\0')) return wrong('the path holds a NUL')
  if (byteLength(path) > UNIX_PATH_BYTES)
    return wrong(`the path is longer than the ${UNIX_PATH_BYTES} bytes a unix socket may have`)
  return right({ kind: 'unix', path: path.replace(/^\/{2,}/, '/') })
}

function splitHostPort(text: string): Reading<{ host: string; portText: string | undefined }> {
  if (/\s/.test(text)) return wrong('there is white space in it', `write '${text.replace(/\s+/g, '')}'`)
  if (text.startsWith('[')) {
    const close = text.indexOf(']')
    const host = close < 0 ? '' : text.slice(1, close)
    if (close < 0 || parseIpv6(host) === null) return wrong('what is in the brackets is not an IPv6 address')
    const rest = text.slice(close + 1)
    if (rest === '') return right({ host, portText: undefined })
    if (!rest.startsWith(':')) return wrong("after the brackets comes ':' and the port")
    return right({ host, portText: rest.slice(1) })
  }
  const colons = text.split(':').length - 1
  if (colons > 1) {
    const isWhole = parseIpv6(text) !== null
    const cut = text.lastIndexOf(':')
    return wrong(
      'an IPv6 address stands in brackets',
      isWhole
        ? `write '[${text}]' and the port, or was '[${text.slice(0, cut)}]:${text.slice(cut + 1)}' meant?`
        : undefined,
    )
  }
  const colon = text.indexOf(':')
  const host = colon < 0 ? text : text.slice(0, colon)
  if (host !== '' && host !== '*') {
    // What looks like IPv4 must be IPv4: `127.1` or `10.0.0.256` as a name would be resolved to a surprise.
    if (/^[\d.]+$/.test(host) && parseIpv4(host) === null) return wrong(`'${host}' is not an IPv4 address`)
    if (
      !/^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i.test(host)
    ) {
      return wrong(`'${host}' is neither an address nor a host name`)
    }
  }
  return right({ host, portText: colon < 0 ? undefined : text.slice(colon + 1) })
}

function parsePort(text: string, least: 0 | 1): Reading<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (port < least || port > 65535) return wrong(`the port must be a number from ${least} to 65535, not '${text}'`)
  return right(port)
}

function parseIpv4(text: string): Uint8Array | null {
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text)
  if (!match) return null
  const bytes = new Uint8Array(4)
  for (let index = 0; index < 4; index++) {
    const value = Number(match[index + 1])
    if (value > 255) return null
    bytes[index] = value
  }
  return bytes
}

function mapIpv4(ipv4: Uint8Array | null): Uint8Array | null {
  if (ipv4 === null) return null
  const bytes = new Uint8Array(16)
  bytes[10] = 0xff
  bytes[11] = 0xff
  bytes.set(ipv4, 12)
  return bytes
}

/** RFC 4291 §2.2: eight groups, one `::` for a run of zeros, an IPv4 address as the last two groups. */
function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const head = groups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? groups(halves[1]!, true) : []
  if (head === null || tail === null) return null
  const missing = 16 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null
  return Uint8Array.from([...head, ...Array.from({ length: missing }, () => 0), ...tail])
}

function groups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (mayEndInIpv4 && index === parts.length - 1 && part.includes('.')) {
      const ipv4 = parseIpv4(part)
      if (ipv4 === null) return null
      bytes.push(...ipv4)
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return null
      const value = Number.parseInt(part, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

function maskBytes(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - index * 8))
    return byte & ((0xff00 >> kept) & 0xff)
  })
}

/** Not RFC 5952: groups are not shortened to the best run, it is for hints. */
function formatIp(bytes: Uint8Array, isIpv4: boolean): string {
  if (isIpv4) return bytes.slice(12).join('.')
  const parts: string[] = []
  for (let index = 0; index < 16; index += 2) parts.push(((bytes[index]! << 8) | bytes[index + 1]!).toString(16))
  return parts.join(':').replace(/(^|:)0(:0)+(:|$)/, '::')
}

/** UTF-8 bytes without TextEncoder's copy: this module runs anywhere. */
function byteLength(text: string): number {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

function right<T>(value: T): { ok: true; value: T } {
  return { ok: true, value }
}

function wrong(reason: string, hint?: string): { ok: false; reason: string; hint?: string } {
  return hint === undefined ? { ok: false, reason } : { ok: false, reason, hint }
}
