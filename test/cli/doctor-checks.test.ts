import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Check, type ConfigNeeds, type DoctorFacts, judge } from '../../src/cli/doctor-checks.ts'

const MIB = 1024 * 1024

/** A machine without a fault. */
const well: DoctorFacts = {
  platform: 'linux',
  nodeVersion: 'v24.1.0',
  isRoot: false,
  cpus: 8,
  maxOpenFiles: 1_048_576,
  somaxconn: 4096,
  tcpMaxSynBacklog: 4096,
  localPortRange: [32_768, 60_999],
  tcpMigrateReq: 1,
  unprivilegedPortStart: 1024,
  availableMemoryBytes: 8192 * MIB,
  totalMemoryBytes: 16_384 * MIB,
  config: null,
  balancers: [],
  stateProblem: null,
  stateDirectory: '/var/lib/evenkeel',
}
const needs: ConfigNeeds = { connections: 10_000, idleUpstream: 1000, workers: 4, lowestPort: 8080, hasAdmin: true }
const good = { file: 'a.json', problems: [], warnings: [], needs }

function check(name: string, change: Partial<DoctorFacts>): Check {
  const found = judge({ ...well, ...change }).find((one) => one.name === name)
  assert.ok(found !== undefined, `no check ${name}`)
  return found
}

test('a machine without a fault has no warning, and what cannot be seen is none', () => {
  for (const facts of [
    well,
    { ...well, config: good, balancers: [{ url: 'unix:/a', pid: 1, state: 'ready', answers: true, problems: [] }] },
    { ...well, maxOpenFiles: null, somaxconn: null, tcpMaxSynBacklog: null, localPortRange: null, tcpMigrateReq: null },
  ]) {
    assert.deepEqual(
      judge(facts).filter(({ verdict }) => verdict !== 'ok'),
      [],
    )
  }
})

test('whatever is not well comes with what to do, and what is well without', () => {
  const ill: DoctorFacts = {
    ...well,
    platform: 'darwin',
    nodeVersion: 'v20.0.0',
    isRoot: true,
    maxOpenFiles: 256,
    availableMemoryBytes: 10 * MIB,
    config: { ...good, needs: { ...needs, workers: 64, hasAdmin: false } },
    balancers: [{ url: 'unix:/a', pid: null, state: 'draining', answers: true, problems: [] }],
    stateProblem: 'EACCES',
  }
  for (const { verdict, advice, message } of [...judge(ill), ...judge(well)]) {
    assert.equal(advice !== undefined, verdict !== 'ok', message)
  }
})

test('each fault has its verdict', () => {
  const cases: [string, Partial<DoctorFacts>, Check['verdict'], RegExp][] = [
    ['node', { nodeVersion: 'v22.9.0' }, 'fail', /too old/],
    ['platform', { platform: 'darwin' }, 'warn', /one worker/],
    ['privileges', { isRoot: true }, 'warn', /root/],
    ['open files', { maxOpenFiles: 20_000 }, 'warn', /default.*20,200/],
    ['open files', { maxOpenFiles: 1000 }, 'fail', /1,000/],
    ['open files', { maxOpenFiles: 20_500, config: good }, 'warn', /10,000 connections may need 21,200/],
    ['net.core.somaxconn', { somaxconn: 128 }, 'warn', /128/],
    ['net.ipv4.tcp_max_syn_backlog', { tcpMaxSynBacklog: 256 }, 'warn', /256/],
    ['net.ipv4.ip_local_port_range', { localPortRange: [50_000, 60_000] }, 'warn', /10,001 connections/],
    ['net.ipv4.tcp_migrate_req', { tcpMigrateReq: 0 }, 'warn', /reset/],
    ['memory', { availableMemoryBytes: 100 * MIB }, 'fail', /100 MiB of/],
    ['memory', { availableMemoryBytes: 200 * MIB }, 'warn', /200 MiB of/],
    ['workers', { config: good, cpus: 2 }, 'warn', /4 on 2 processors/],
    ['low ports', { config: { ...good, needs: { ...needs, lowestPort: 80 } } }, 'warn', /below 1024/],
    ['low ports', { config: { ...good, needs: { ...needs, lowestPort: 80 } }, isRoot: true }, 'ok', /may be bound/],
    ['state directory', { stateProblem: 'EACCES' }, 'warn', /EACCES/],
    ['config', { config: { ...good, problems: ['a.json:1:1: bad', 'x'], needs: null } }, 'fail', /bad \(and 1 more\)/],
    ['config', { config: { ...good, warnings: ['a.json: odd'] } }, 'warn', /odd$/],
    ['admin API', { config: { ...good, needs: { ...needs, hasAdmin: false } } }, 'warn', /opens none/],
    [
      'balancer',
      { balancers: [{ url: 'u', pid: 1, state: 'refused', answers: false, problems: [] }] },
      'fail',
      /pid 1.*refused/,
    ],
    [
      'balancer',
      { balancers: [{ url: null, pid: 7, state: 'unknown', answers: false, problems: [] }] },
      'warn',
      /pid 7 has no admin API/,
    ],
    [
      'balancer',
      { balancers: [{ url: 'u', pid: 7, state: 'ready', answers: true, problems: ['a.json:1:2: bad', 'x'] }] },
      'warn',
      /before the newest; refused was: a\.json:1:2: bad \(and 1 more\)$/,
    ],
    [
      'balancer',
      { balancers: [{ url: 'u', pid: null, state: 'draining', answers: true, problems: [] }] },
      'warn',
      /^u is not ready/,
    ],
  ]
  for (const [name, change, verdict, message] of cases) {
    const found = check(name, change)
    assert.equal(found.verdict, verdict, found.message)
    assert.match(found.message, message)
  }
})

test('a low port that the kernel gives to everybody is no matter', () => {
  const facts = { ...well, unprivilegedPortStart: 80, config: { ...good, needs: { ...needs, lowestPort: 80 } } }
  assert.ok(!judge(facts).some(({ name }) => name === 'low ports'))
})
