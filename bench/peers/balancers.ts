/**
 * What is compared: one entry per program, each configured as its own manual says for this job, with the same features
 * on: least-loaded choice among three endpoints, kept-alive upstream connections, Host kept, X-Forwarded-For, -Proto and
 * -Host, Via, and an X-Request-ID made for each request; access log off; no active health checks.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { freePorts, type Program, start } from './processes.ts'

export interface BalancerOptions {
  /** For its files; its own. */
  readonly folder: string
  readonly cores: string
  readonly workers: number
  readonly originPorts: readonly number[]
  /** Buffers as large as those that Node reads with (64 KiB), where the program has a setting for it. */
  readonly isLargeBuffers: boolean
  /** Node flags for programs that run on Node. */
  readonly nodeFlags?: readonly string[]
}

export interface Running {
  readonly program: Program
  readonly port: number
}

export interface Balancer {
  readonly name: string
  /** Null when it can be run here, else what is missing. */
  missing(): string | null
  version(): string
  start(options: BalancerOptions): Promise<Running>
}

const root = resolve(import.meta.dirname, '../..')

export const BALANCERS: readonly Balancer[] = [
  {
    name: 'nginx',
    missing: () => needProgram('nginx', 'nginx-light'),
    version: () => firstMatch('nginx', ['-v'], /nginx\/(\S+)/),
    async start(options) {
      const { folder, cores } = options
      const [port] = (await freePorts(1)) as [number]
      const conf = join(folder, 'nginx.conf')
      writeFileSync(conf, nginxConfig(port, options))
      return { port, program: await start('nginx', ['-p', folder, '-e', 'stderr', '-c', conf], { cores, port }) }
    },
  },
  {
    name: 'haproxy',
    missing: () => needProgram('haproxy', 'haproxy'),
    version: () => firstMatch('haproxy', ['-v'], /version (\d+\.\d+\.\d+)/),
    async start(options) {
      const { folder, cores } = options
      const [port] = (await freePorts(1)) as [number]
      const conf = join(folder, 'haproxy.cfg')
      writeFileSync(conf, haproxyConfig(port, options))
      return { port, program: await start('haproxy', ['-f', conf], { cores, port }) }
    },
  },
  {
    name: 'evenkeel',
    missing: () =>
      existsSync(join(root, 'bin/evenkeel')) && existsSync(join(root, 'src/edge/worker.ts'))
        ? null
        : 'the data plane is not there',
    version: () =>
      `${firstMatch(process.execPath, [join(root, 'bin/evenkeel'), '--version'], /(\S+)/)} (Node ${process.version})`,
    async start({ folder, cores, workers, originPorts, nodeFlags = [] }) {
      const [port, adminPort] = (await freePorts(2)) as [number, number]
      const config = join(folder, 'evenkeel.config.json')
      writeFileSync(config, JSON.stringify(evenkeelConfig(port, adminPort, workers, originPorts), null, 2))
      const args = [...nodeFlags, join(root, 'bin/evenkeel'), 'start', '--config', config]
      // The admin token and the note of the running instance stay in this run's folder.
      const env = { EVENKEEL_STATE_DIR: join(folder, 'state') }
      return { port, program: await start(process.execPath, args, { cores, port, env }) }
    },
  },
]

function nginxConfig(port: number, options: BalancerOptions): string {
  const { folder, workers, originPorts, isLargeBuffers } = options
  return `daemon off;
worker_processes ${workers};
worker_rlimit_nofile 18000;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  client_body_temp_path ${folder}/nginx-body;
  proxy_temp_path ${folder}/nginx-proxy;
  upstream web {
    zone web 256k;
    least_conn;
    ${originPorts.map((origin) => `server 127.0.0.1:${origin};`).join(' ')}
    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }
  server {
    listen 127.0.0.1:${port} reuseport backlog=4096;
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header Via "1.1 nginx";
      # Without it a client slower than its endpoint sends bodies through a file.
      proxy_max_temp_file_size 0;
      ${isLargeBuffers ? 'proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;' : ''}
    }
  }
}
`
}

function haproxyConfig(port: number, { workers, originPorts, isLargeBuffers }: BalancerOptions): string {
  return `global
  nbthread ${workers}
  maxconn 9000
  ${isLargeBuffers ? 'tune.bufsize 65536' : ''}
defaults
  mode http
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 75s
  option http-keep-alive
  http-reuse always
  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
frontend public
  bind 127.0.0.1:${port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header Via "1.1 haproxy"
  default_backend web
backend web
  balance leastconn
${originPorts.map((origin, index) => `  server s${index} 127.0.0.1:${origin}`).join('\n')}
`
}

/** As shipped, but for what names this run: addresses, the number of workers, no access log. */
function evenkeelConfig(port: number, adminPort: number, workers: number, originPorts: readonly number[]): unknown {
  return {
    version: 1,
    workers,
    listeners: [{ name: 'public', bind: `127.0.0.1:${port}` }],
    routes: [{ pool: 'web' }],
    pools: {
      web: { balance: 'least-requests', endpoints: originPorts.map((origin) => `http://127.0.0.1:${origin}`) },
    },
    accessLog: false,
    admin: { bind: `127.0.0.1:${adminPort}` },
  }
}

/** Null when the program is installed, else how to get it. */
export function needProgram(program: string, debianPackage: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, program)))
    ? null
    : `${program} is not installed (Debian: apt-get install ${debianPackage}, or scripts/install-engines.sh)`
}

function firstMatch(command: string, args: readonly string[], pattern: RegExp): string {
  try {
    // nginx says its version on stderr.
    const text = execFileSync('/bin/sh', ['-c', '"$@" 2>&1', 'sh', command, ...args], { encoding: 'utf8' })
    return pattern.exec(text)?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}
