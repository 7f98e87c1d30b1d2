import { createServer } from 'node:net'

/** The first port from `wanted` on that nobody listens on at `host`; null when the next `tries` are all taken. */
export async function freePort(host: string, wanted: number, tries = 50): Promise<number | null> {
  for (let port = wanted; port < wanted + tries && port <= 65_535; port++) if (await isFree(host, port)) return port
  return null
}

/** A plain bind, which also fails where the other shares its port (SO_REUSEPORT). */
function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
