/** The origins: one nginx process that is three servers, each on a port of its own, answering from memory or tmpfs. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, type Program, start } from './processes.ts'

export interface Origins {
  readonly program: Program
  readonly ports: readonly number[]
}

/** Where bodies and configurations go: memory where the machine has such a file system, so that no disk is measured. */
export function benchFolder(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
}

export async function startOrigins(folder: string, cores: string): Promise<Origins> {
  const ports = await freePorts(3)
  const files = join(folder, 'files')
  mkdirSync(files, { recursive: true })
  // Bytes that no compression and no zero-page trick makes cheap.
  writeFileSync(join(files, '64k'), noise(64 * 1024))
  writeFileSync(join(files, '8m'), noise(8 * 1024 * 1024))

  const small = 'a small answer that fits into one segment, about as long as what a health check or an API call says.'
  const servers = ports.map(
    (port) => `server {
      listen 127.0.0.1:${port} backlog=4096;
      root ${files};
      location = /small { return 200 "${small}"; }
    }`,
  )
  const conf = join(folder, 'origins.conf')
  writeFileSync(
    conf,
    `daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${folder}/origins.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off;
  default_type text/plain;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path ${folder}/origins-body;
  proxy_temp_path ${folder}/origins-proxy;
  ${servers.join('\n  ')}
}
`,
  )
  const program = await start('nginx', ['-p', folder, '-e', 'stderr', '-c', conf], { cores, port: ports[0]! })
  return { program, ports }
}

/** The same bytes in every run. */
function noise(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = 0x9e3779b9
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}
