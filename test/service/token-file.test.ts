import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { readOrMakeToken, readToken, TokenFile } from '../../src/service/token-file.ts'

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-token-'))
after(() => fs.rmSync(root, { recursive: true }))

function scratch(): string {
  return fs.mkdtempSync(path.join(root, 'test-'))
}

test('a token is made once, of 32 random bytes, readable by its owner only', () => {
  const file = path.join(scratch(), 'a', 'b', 'token')
  const first = readOrMakeToken(file)
  assert.ok(first.ok)
  assert.equal(Buffer.from(first.token, 'base64url').length, 32)
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.equal(fs.statSync(path.dirname(file)).mode & 0o777, 0o700)
  assert.deepEqual(readOrMakeToken(file), first)
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['token'])
})

test('processes that start at once agree on one token', async () => {
  const folder = scratch()
  const file = path.join(folder, 'state', 'token')
  const script = path.join(folder, 'child.ts')
  const source = new URL('../../src/service/token-file.ts', import.meta.url).href
  fs.writeFileSync(
    script,
    `import { readOrMakeToken } from ${JSON.stringify(source)}
process.once('message', () => process.send!(readOrMakeToken(${JSON.stringify(file)}), () => process.disconnect()))
process.send!('ready')
`,
  )
  const children = [0, 1, 2].map(() => fork(script))
  await Promise.all(children.map((child) => new Promise((resolve) => child.once('message', resolve))))
  const readings = children.map((child) => new Promise((resolve) => child.once('message', resolve)))
  for (const child of children) child.send('go')
  const [a, b, c] = await Promise.all(readings)
  assert.deepEqual(a, readToken(file))
  assert.deepEqual(b, a)
  assert.deepEqual(c, a)
})

test('a file that others can use, or that holds no token, is refused with what to do', () => {
  const file = path.join(scratch(), 'token')
  assert.equal(readToken(file), null)
  for (const [text, mode, reason] of [
    ['a-good-enough-token', 0o604, /mode 604/],
    ['a-good-enough-token', 0o602, /mode 602/],
    ['a-good-enough-token', 0o620, /mode 620/],
    ['', 0o600, /one word of 16/],
    ['short', 0o600, /one word of 16/],
    ['two words are no token', 0o600, /one word of 16/],
  ] as const) {
    fs.rmSync(file, { force: true })
    fs.writeFileSync(file, text)
    fs.chmodSync(file, mode)
    const reading = readToken(file)
    assert.ok(reading !== null && !reading.ok)
    assert.match(reading.reason, reason)
    assert.doesNotMatch(reading.reason, /a-good-enough/)
  }
  // As orchestrators mount secrets.
  fs.rmSync(file)
  fs.writeFileSync(file, ' a-good-enough-token \n')
  fs.chmodSync(file, 0o440)
  assert.deepEqual(readToken(file), { ok: true, token: 'a-good-enough-token' })
})

test('where no file can be made nothing matches, and the problem says why', () => {
  const folder = scratch()
  fs.writeFileSync(path.join(folder, 'file'), '')
  const token = new TokenFile(path.join(folder, 'file', 'token'))
  assert.match(token.problem ?? '', /ENOTDIR/)
  assert.equal(token.matches(''), false)
})

test('matches the token and nothing else', () => {
  const file = new TokenFile(path.join(scratch(), 'token'))
  const token = fs.readFileSync(file.path, 'utf8').trim()
  assert.ok(file.matches(token))
  for (const wrong of ['', `${token} `, token.slice(1), token.toUpperCase(), 'x'.repeat(100_000)]) {
    assert.equal(file.matches(wrong), false)
  }
})
