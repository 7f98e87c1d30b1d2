/** The key of the n-th IPv4 address of a test, mapped into IPv6. */
export function addressKey(n: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, n >> 16, n >> 8, n)
}
