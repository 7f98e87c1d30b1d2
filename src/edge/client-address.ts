/** Client addresses: as text for fields and logs, as 16 bytes for counting, and against lists of CIDR blocks. */
import { BlockList, isIP } from 'node:net'
import { isIpv4Mapped, parseIp } from '../core/address.ts'

/** `::ffff:192.0.2.1`, as a dual-stack socket has it, is 192.0.2.1. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/**
 * The key that connections are counted by, into `key` (16 bytes): IPv4 in its mapped form, IPv6 cut to its /64,
 * which is what one subscriber gets. False when the text is no address.
 */
export function addressKey(address: string, key: Uint8Array): boolean {
  const zone = address.indexOf('%')
  const bytes = parseIp(zone < 0 ? address : address.slice(0, zone))
  if (bytes === null) return false
  key.set(bytes)
  if (!isIpv4Mapped(bytes)) key.fill(0, 8)
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
