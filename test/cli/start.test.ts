import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EvenkeelProcess, evenkeel, startedUrl } from './evenkeel-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'evenkeel-start-'))
const origins: Server[] = []

/** An origin that says its name, at `/slow` after a second. */
async function origin(name: string): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader('connection', 'close')
    setTimeout(() => response.end(name), request.url === '/slow' ? 1000 : 0)
  })
  origins.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

let one: string
let two: string

before(async () => {
  one = await origin('one')
  two = await origin('two')
})
after(() => {
  for (const server of origins) server.close()
  rmSync(folder, { recursive: true })
})

function configText(endpoints: readonly unknown[], rest: object = {}): string {
  return JSON.stringify({
    version: 1,
    workers: 1,
    listeners: [{ name: 'main', bind: '127.0.0.1:0' }],
    routes: [{ pool: 'web' }],
    pools: { web: { endpoints } },
    ...rest,
  })
}

function write(name: string, text: string): string {
  // As editors do it: another file, renamed over the old one.
  writeFileSync(join(folder, `${name}.new`), text)
  renameSync(join(folder, `${name}.new`), join(folder, name))
  return join(folder, name)
}

async function body(url: string): Promise<string> {
  const response = await fetch(url)
  return await response.text()
}

describe('evenkeel start', () => {
  test('says where it listens, serves, and stops on SIGTERM with exit 0', async () => {
    const file = write('a.json', configText([one]))
    await using running = new EvenkeelProcess(['start', '--config', file])
    const [, url] = await running.says('stderr', /listening on (http:\/\/127\.0\.0\.1:\d+) \(main\)\n/)
    assert.match(running.stderr, /pool web: 1 endpoint, round-robin, no health check/)
    assert.doesNotMatch(running.stderr, /every interface/)
    assert.equal(await body(url!), 'one')
    running.signal('SIGTERM')
    assert.equal(await running.exited(), 0)
    assert.match(running.stderr, /SIGTERM: no new connections/)
    assert.match(running.stderr, /stopped after .*everything had finished/)
    assert.equal(running.stdout, '')
  })

  test('finds its config in the working directory, and says that it binds every interface', async () => {
    write('evenkeel.config.mjs', `export default ${configText([one], { listeners: [{ bind: ':0' }] })}`)
    await using running = new EvenkeelProcess(['start'], { cwd: folder })
    await running.says(
      'stderr',
      /config: evenkeel\.config\.mjs[\s\S]*listening on http:\/\/\[::\]:\d+.*every interface of this machine/,
    )
    running.signal('SIGINT')
    assert.equal(await running.exited(), 0)
  })

  test('started by root says once what would do instead', {
    skip: process.getuid?.() !== 0 && 'it is not run by root here',
  }, async () => {
    const file = write('root.json', configText([one]))
    await using running = new EvenkeelProcess(['start', '--config', file])
    await running.says('stderr', /it runs as root, which no port here needs: run it as a user of its own\n/)
    await sleep(300)
    assert.equal(running.stderr.split('as root').length - 1, 1)
    const low = write('low.json', configText([one], { listeners: [{ bind: '127.0.0.1:997' }] }))
    await using privileged = new EvenkeelProcess(['start', '--config', low])
    await privileged.says('stderr', /which port 997 alone does not need: .* with CAP_NET_BIND_SERVICE\n/)
  })

  test('lets what runs finish after the first signal, and cuts it off at the second', async () => {
    const file = write('b.json', configText([one]))
    await using patient = new EvenkeelProcess(['start', '--config', file, '--json'])
    await using hasty = new EvenkeelProcess(['start', '--config', file, '--json'])
    const [finished, cut] = await Promise.all([startedUrl(patient), startedUrl(hasty)])
    const slow = body(`${finished}/slow`)
    const lost = new Promise<string>((resolve) => {
      get(`${cut}/slow`, (response) => resolve(String(response.statusCode))).on(
        'error',
        (error: NodeJS.ErrnoException) => resolve(error.code ?? ''),
      )
    })
    await sleep(300)
    patient.signal('SIGTERM')
    hasty.signal('SIGTERM')
    await hasty.event('stderr', 'stopping')
    hasty.signal('SIGTERM')
    assert.equal(await hasty.exited(), 0)
    assert.match(await lost, /ECONNRESET|503/)
    assert.equal((await hasty.event('stderr', 'stopped'))['cutOff'], 1)
    assert.equal(await slow, 'one')
    assert.equal(await patient.exited(), 0)
  })

  test('reloads when the file is replaced, or one that it imports', async () => {
    write('endpoints.ts', `export const endpoints: string[] = ['${one}']\n`)
    const file = write(
      'c.ts',
      `import { defineConfig } from 'evenkeel'\nimport { endpoints } from './endpoints.ts'\nexport default defineConfig({ ...${configText([])}, pools: { web: { endpoints } } })\n`,
    )
    await using running = new EvenkeelProcess(['start', '--config', file, '--json'])
    const url = await startedUrl(running)
    assert.equal(await body(url), 'one')
    write('endpoints.ts', `export const endpoints: string[] = ['${two}']\n`)
    const reloaded = await running.event('stderr', 'reloaded')
    const changes = (reloaded['changes'] as { path: string; kind: string }[]).map(({ path, kind }) => `${kind} ${path}`)
    assert.deepEqual(changes, [
      `removed pools.web.endpoints[${one.slice(7)}]`,
      `added pools.web.endpoints[${two.slice(7)}]`,
    ])
    assert.equal(await body(url), 'two')
  })

  test('refuses a broken config with every problem named, and keeps the one before', async () => {
    const file = write('d.json', configText([one]))
    await using running = new EvenkeelProcess(['start', '--config', file])
    const [, url] = await running.says('stderr', /listening on (\S+)/)
    write('d.json', configText(['nonsense', { url: two, wieght: 2 }]))
    await running.says('stderr', /reload refused \(the file changed\): 2 problems; the config before stays/)
    await running.says(
      'stderr',
      /d\.json:1:\d+: pools\.web\.endpoints\[0\]: .*\n.*d\.json:1:\d+: pools\.web\.endpoints\[1\]\.wieght: unknown key 'wieght' \(did you mean 'weight'\?\)\n/,
    )
    assert.equal(await body(url!), 'one')
    running.signal('SIGHUP')
    await running.says('stderr', /reload refused \(SIGHUP\)/)
    assert.equal(await body(url!), 'one')
    write('d.json', configText([two]))
    await running.says('stderr', /reloaded \(the file changed\): 2 changes/)
    assert.equal(await body(url!), 'two')
  })

  test('reads the file again on SIGHUP where it is not watched', async () => {
    const unwatched = { reload: { watch: false } }
    const file = write('e.json', configText([one], unwatched))
    await using running = new EvenkeelProcess(['start', '--config', file, '--json'])
    const url = await startedUrl(running)
    write('e.json', configText([two], unwatched))
    await sleep(500)
    assert.equal(await body(url), 'one')
    running.signal('SIGHUP')
    await running.event('stderr', 'reloaded')
    assert.equal(await body(url), 'two')
  })

  test('on a taken port says which, and exits 1', async () => {
    const taken = createTcpServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const file = write('f.json', configText([one], { listeners: [{ bind: `127.0.0.1:${port}` }] }))
    await using running = new EvenkeelProcess(['start', '--config', file])
    assert.equal(await running.exited(), 1)
    taken.close()
    assert.match(
      running.stderr,
      new RegExp(
        `^error: the balancer cannot start\n {2}\\S*f\\.json:1:\\d+: listeners\\[127\\.0\\.0\\.1:${port}\\]\\.bind: cannot listen on 127\\.0\\.0\\.1:${port}: .*in use.*\\(stop the program that has it`,
      ),
    )
    assert.equal(running.stderr.split('in use').length - 1, 1, running.stderr)
    assert.doesNotMatch(running.stderr, /^\s+at /m)
  })
})

describe('a reload that was refused', () => {
  test('is named with its line, stands in status and doctor, and stands no longer when the edit is taken back', async () => {
    const state = mkdtempSync(join(folder, 'state-'))
    const env = { EVENKEEL_STATE_DIR: state }
    const taken = createTcpServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const text = (more: string): string =>
      `version: 1\nworkers: 1\nlisteners:\n  - name: public\n    bind: 127.0.0.1:0\n${more}routes: [{ pool: web }]\npools: { web: { endpoints: ['${one}'] } }\nadmin: { bind: '127.0.0.1:0' }\n`
    const file = write('undone.yaml', text(''))
    await using running = new EvenkeelProcess(['start', file], { env })
    await running.says('stderr', /admin API on/)
    write('undone.yaml', text(`  - name: second\n    bind: 127.0.0.1:${port}\n`))
    await running.says('stderr', /undone\.yaml:7:11: listeners\[second\]\.bind: cannot listen on .*in use/)
    const problems = async (): Promise<readonly string[]> =>
      (JSON.parse((await evenkeel(['status', '--json'], { env })).stdout) as { config: { problems: string[] } }).config
        .problems
    assert.match((await problems()).join(), /undone\.yaml:7:11: listeners\[second\]/)
    const doctor = await evenkeel(['doctor'], { env })
    assert.match(doctor.stdout, /! balancer .*refused was: .*listeners\[second\]\.bind/)
    write('undone.yaml', text(''))
    await running.says('stderr', /the config in force is the file's again \(the file changed\)/)
    for (const until = Date.now() + 5000; ; await sleep(50)) {
      if ((await problems()).length === 0) break
      assert.ok(Date.now() < until, 'the refusal still stands')
    }
    taken.close()
  })
})

describe('without an admin API', () => {
  test('start says so and what to add, and status knows of it until it is added', async () => {
    const state = mkdtempSync(join(folder, 'state-'))
    const env = { EVENKEEL_STATE_DIR: state }
    const file = write('quiet.json', configText([one]))
    await using running = new EvenkeelProcess(['start', file], { env })
    await running.says('stderr', /admin API off: .*add `admin: \{\}` to the config/)
    const { pid } = running.child
    const quiet = await evenkeel(['status'], { env })
    assert.equal(quiet.code, 1)
    assert.match(quiet.stderr, /an evenkeel runs here, without an admin API\n/)
    assert.match(quiet.stderr, new RegExp(`pid ${pid}, config .*quiet\\.json: add .admin: \\{\\}. .*kill -HUP ${pid}`))
    assert.doesNotMatch(quiet.stderr, /9090/)
    const doctor = await evenkeel(['doctor'], { env })
    assert.match(doctor.stdout, new RegExp(`! balancer +pid ${pid} has no admin API`))

    write('quiet.json', configText([one], { admin: { bind: '127.0.0.1:0' } }))
    await running.says('stderr', /reloaded \(the file changed\)/)
    for (const until = Date.now() + 10_000; ; await sleep(100)) {
      const { code, stdout } = await evenkeel(['status', '--json'], { env })
      if (code === 0) {
        assert.equal((JSON.parse(stdout) as { pid: number }).pid, pid)
        break
      }
      assert.ok(Date.now() < until, 'status does not find it')
    }
    write('quiet.json', configText([one]))
    await running.says('stderr', /removed admin|admin[\s\S]*reloaded/)
    running.signal('SIGTERM')
    assert.equal(await running.exited(), 0)
    assert.deepEqual(readdirSync(join(state, 'instances')), [])
  })
})

describe('a config file', () => {
  test('may be given as FILE or with --config, to every command that takes one', async () => {
    const file = write('either.json', configText([one]))
    for (const args of [[file], ['--config', file], [file, '--config', file]]) {
      await using running = new EvenkeelProcess(['start', ...args, '--json'])
      assert.equal(await body(await startedUrl(running)), 'one')
      const checked = await evenkeel(['check', ...args])
      assert.equal(checked.code, 0)
      const doctor = await evenkeel(['doctor', ...args])
      assert.match(doctor.stdout, /config +.*either\.json is good/)
    }
    for (const command of ['start', 'check', 'doctor']) {
      const { code, stderr } = await evenkeel([command, file, '--config', 'other.json'])
      assert.deepEqual([code, /there are two configs/.test(stderr)], [2, true], stderr)
    }
  })
})

describe('evenkeel proxy', () => {
  test('forwards to its endpoints in turn, and writes the access log to standard output', async () => {
    await using running = new EvenkeelProcess([
      'proxy',
      '--from',
      '127.0.0.1:0',
      '--to',
      one,
      two.slice(7),
      '--workers',
      '1',
      '--access-log',
      '--json',
    ])
    const url = await startedUrl(running)
    const seen = [await body(url), await body(url), await body(url), await body(url)]
    assert.deepEqual(seen.sort(), ['one', 'one', 'two', 'two'])
    running.signal('SIGTERM')
    assert.equal(await running.exited(), 0)
    const logged = running.json('stdout')
    assert.deepEqual(
      logged.map(({ status }) => status),
      [200, 200, 200, 200],
    )
  })

  test('is found by evenkeel status through the port that it took', async () => {
    await using running = new EvenkeelProcess(['proxy', '--from', '127.0.0.1:0', '--to', one, '--json'], {
      env: { EVENKEEL_STATE_DIR: folder },
    })
    await startedUrl(running)
    await using status = new EvenkeelProcess(['status', '--json'], { env: { EVENKEEL_STATE_DIR: folder } })
    assert.equal(await status.exited(), 0)
    assert.equal((JSON.parse(status.stdout) as { pid: number }).pid, running.child.pid)
  })

  test('has no admin API when told so, and nothing to reload', async () => {
    await using running = new EvenkeelProcess(['proxy', '--from', '127.0.0.1:0', '--to', one, '--no-admin', '--json'])
    const started = await running.event('stderr', 'started')
    assert.equal(started['adminUrl'], null)
    running.signal('SIGHUP')
    await running.event('stderr', 'reload-refused')
    running.signal('SIGTERM')
    assert.equal(await running.exited(), 0)
  })
})
