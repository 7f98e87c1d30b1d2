import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  blockContains,
  formatAddress,
  isEveryInterface,
  parseBind,
  parseBlock,
  parseEndpointUrl,
  parseIp,
} from '../../src/core/address.ts'

function bind(text: string) {
  const reading = parseBind(text)
  assert.ok(reading.ok, `${text}: ${reading.ok ? '' : reading.reason}`)
  return reading.value
}

describe('a bind', () => {
  test("':8080' and '[::]:8080' are every address of both families", () => {
    const everything = { kind: 'ip', host: '::', port: 8080, ipv6Only: false }
    assert.deepEqual(bind(':8080'), everything)
    assert.deepEqual(bind('[::]:8080'), everything)
  })

  test('IPv4, names, unix sockets and port 0 are read', () => {
    assert.deepEqual(bind('0.0.0.0:80'), { kind: 'ip', host: '0.0.0.0', port: 80, ipv6Only: false })
    assert.deepEqual(bind('localhost:80'), { kind: 'ip', host: 'localhost', port: 80, ipv6Only: false })
    assert.deepEqual(bind('127.0.0.1:0'), { kind: 'ip', host: '127.0.0.1', port: 0, ipv6Only: false })
    assert.deepEqual(bind('unix:/run/a b.sock'), { kind: 'unix', path: '/run/a b.sock' })
  })

  test('what is wrong is said with what was meant', () => {
    const wrong: readonly (readonly [text: string, reason: RegExp, hint: RegExp | undefined])[] = [
      ['8080', /port stands alone/, /':8080'/],
      ['localhost', /port is missing/, /localhost:8080/],
      ['*:80', /not an address/, /':80'/],
      ['http://localhost:80', /no scheme/, /'localhost:80'/],
      ['/run/a.sock', /prefix/, /unix:\/run\/a.sock/],
      ['unix:run/a.sock', /absolute/, /unix:\/run\/a.sock/],
      [`unix:/${'x'.repeat(104)}`, /103 bytes/, undefined],
      ['::1:80', /brackets/, /\[::1\]:80/],
      ['[::1]80', /':' and the port/, undefined],
      ['[::1', /not an IPv6 address/, undefined],
      ['[1.2.3.4]:80', /not an IPv6 address/, undefined],
      ['127.0.0.1:65536', /0 to 65535/, undefined],
      ['127.0.0.1:', /0 to 65535/, undefined],
      ['127.0.0.1:80a', /0 to 65535/, undefined],
      ['127.0.0.256:80', /not an IPv4/, undefined],
      ['127.1:80', /not an IPv4/, undefined],
      ['a b:80', /white space/, /'ab:80'/],
      ['-a:80', /neither an address nor/, undefined],
      ['', /port is missing/, undefined],
    ]
    for (const [text, reason, hint] of wrong) {
      const reading = parseBind(text)
      assert.ok(!reading.ok, text)
      assert.match(reading.reason, reason, text)
      if (hint !== undefined) assert.match(reading.hint ?? '', hint, text)
    }
  })

  test('is every interface when it is the unspecified address of a family', () => {
    for (const text of [':1', '[::]:1', '0.0.0.0:1', '[0:0:0:0:0:0:0:0]:1', '[::ffff:0.0.0.0]:1']) {
      assert.ok(isEveryInterface(bind(text)), text)
    }
    for (const text of ['127.0.0.1:1', '[::1]:1', 'localhost:1', 'unix:/x'])
      assert.ok(!isEveryInterface(bind(text)), text)
  })

  test('never throws, and what it reads it reads again from its own text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[[\]:.0-9a-f/*]{0,20}$/)), (text) => {
        const reading = parseBind(text)
        if (reading.ok) assert.deepEqual(parseBind(formatAddress(reading.value)), reading)
      }),
    )
  })
})

describe('an endpoint url', () => {
  test('gives host and port, 80 when left out', () => {
    const read = (text: string) => {
      const reading = parseEndpointUrl(text)
      assert.ok(reading.ok, text)
      return formatAddress(reading.value)
    }
    assert.equal(read('http://127.0.0.1:9001'), '127.0.0.1:9001')
    assert.equal(read('http://Example.COM'), 'example.com:80')
    assert.equal(read('HTTP://a:1/'), 'a:1')
    assert.equal(read('http://[::1]:8080'), '[::1]:8080')
    assert.equal(read('unix:/run/app.sock'), 'unix:/run/app.sock')
  })

  test('refuses what an address does not have', () => {
    const wrong: readonly (readonly [text: string, reason: RegExp, hint: RegExp | undefined])[] = [
      ['127.0.0.1:9001', /must start with/, /http:\/\/127.0.0.1:9001/],
      ['https://a', /TLS/, /http:\/\/a/],
      ['ftp://a', /'ftp'/, undefined],
      ['http://a:1/path', /no path/, /'http:\/\/a:1'/],
      ['http://a?x=1', /no path/, /'http:\/\/a'/],
      ['http://u:p@a:1', /no user/, /'http:\/\/a:1'/],
      ['http://', /host is missing/, undefined],
      ['http://:80', /host is missing/, /127.0.0.1:80/],
      ['http://a:0', /1 to 65535/, undefined],
      ['http://::1:80', /brackets/, undefined],
      ['/run/a.sock', /prefix/, /unix:/],
      ['', /must start with/, undefined],
    ]
    for (const [text, reason, hint] of wrong) {
      const reading = parseEndpointUrl(text)
      assert.ok(!reading.ok, text)
      assert.match(reading.reason, reason, text)
      if (hint !== undefined) assert.match(reading.hint ?? '', hint, text)
    }
  })
})

describe('an IP literal', () => {
  test("is what Node's own reader takes for one, zones aside", () => {
    const candidate = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.stringMatching(/^[0-9a-f:.]{1,24}$/),
      fc.constantFrom(
        '::',
        '1::',
        '::1',
        '1::2::3',
        ':::',
        '1:2:3:4:5:6:7:8',
        '1:2:3:4:5:6:7::',
        '::ffff:1.2.3.4',
        '1.2.3.4::',
        '01.2.3.4',
      ),
    )
    fc.assert(
      fc.property(candidate, (text) => assert.equal(parseIp(text) !== null, isIP(text) !== 0, text)),
      { numRuns: 2000 },
    )
  })
})

describe('an address block', () => {
  test("contains what Node's BlockList says it contains", () => {
    const bits = fc.integer({ min: 0, max: 32 })
    fc.assert(
      fc.property(fc.ipV4(), bits, fc.ipV4(), (network, width, address) => {
        const mask = width === 0 ? 0 : (0xffffffff << (32 - width)) >>> 0
        const value = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
        const base = [24, 16, 8, 0].map((shift) => (((value & mask) >>> 0) >>> shift) & 255).join('.')
        const block = parseBlock(`${base}/${width}`)
        assert.ok(block.ok)
        const list = new BlockList()
        list.addSubnet(base, width, 'ipv4')
        assert.equal(blockContains(block.value, parseIp(address)!), list.check(address, 'ipv4'))
        assert.equal(blockContains(block.value, parseIp(`::ffff:${address}`)!), list.check(address, 'ipv4'))
      }),
    )
  })

  test('of IPv6 and single addresses', () => {
    const contains = (text: string, address: string) => {
      const block = parseBlock(text)
      assert.ok(block.ok, text)
      return blockContains(block.value, parseIp(address)!)
    }
    assert.ok(contains('2001:db8::/32', '2001:db8:ffff::1'))
    assert.ok(!contains('2001:db8::/32', '2001:db9::1'))
    assert.ok(contains('::1', '::1'))
    assert.ok(!contains('127.0.0.1', '127.0.0.2'))
    assert.ok(contains('::/0', '1.2.3.4'))
  })

  test('with bits outside of it is refused, with the block that was meant', () => {
    for (const [text, hint] of [
      ['10.1.2.3/8', /10\.0\.0\.0\/8/],
      ['2001:db8::1/32', /2001:db8::\/32/],
    ] as const) {
      const reading = parseBlock(text)
      assert.ok(!reading.ok)
      assert.match(reading.hint ?? '', hint)
    }
    for (const text of ['10.0.0.0/33', '10.0.0.0/', '::/129', 'example.com', '10.0.0/8', '10.0.0.0/-1']) {
      assert.ok(!parseBlock(text).ok, text)
    }
  })
})
