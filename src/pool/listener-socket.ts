import { formatAddress, type SocketAddress } from '../core/address.ts'

/** A listener's name at one address: a listener that moves has two sockets for a moment, and both are told of by this. */
export function listenerSocket(listener: { readonly name: string; readonly address: SocketAddress }): string {
  return `${listener.name} ${formatAddress(listener.address)}`
}
