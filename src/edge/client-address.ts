/** Client addresses: as text for fields and logs, as 16 bytes for counting, and against lists of CIDR blocks. */
import { BlockList, isIP } from 'node:net'

/** `::ffff:192.0.2.1`, as a dual-stack socket has it, is 192.0.2.1. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/**
 * The key that connections are counted by, into `key` (16 bytes): IPv4 in its mapped form, IPv6 cut to its /64,
 * which is what one subscriber gets. False when the text is no address.
 */
export function addressKey(address: string, key: Uint8Array): boolean {
  const kind = isIP(address)
  if (kind === 0) return false
  key.fill(0)
  if (kind === 4) {
    key[10] = 0xff
    key[11] = 0xff
    writeIPv4(address, key, 12)
    return true
  }
  const text = address.split('%', 1)[0] ?? ''
  const [front = '', back] = text.split('::', 2)
  const left = front === '' ? [] : front.split(':')
  const right = back === undefined || back === '' ? [] : back.split(':')
  const groups =
    back === undefined
      ? left
      : [...left, ...new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  for (let i = 0; i < 4; i++) {
    const group = Number.parseInt(groups[i] ?? '0', 16)
    key[2 * i] = group >> 8
    key[2 * i + 1] = group & 0xff
  }
  return true
}

/** CIDR blocks and single addresses, as the config checked them. */
export class AddressSet {
  readonly #list = new BlockList()
  readonly #isEmpty: boolean

  constructor(blocks: readonly string[]) {
    this.#isEmpty = blocks.length === 0
    for (const block of blocks) {
      const [address = '', bits] = block.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (bits === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, Number(bits), family)
    }
  }

  has(address: string): boolean {
    if (this.#isEmpty || address === '') return false
    return this.#list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
}

function writeIPv4(address: string, key: Uint8Array, at: number): void {
  const parts = address.split('.')
  for (let i = 0; i < 4; i++) key[at + i] = Number(parts[i])
}
