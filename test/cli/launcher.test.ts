import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'
import { LAUNCHER } from './evenkeel-process.ts'

describe('the launcher', () => {
  test('on an older Node says in one line which it needs, and exits 1', () => {
    const pretend =
      "Object.defineProperty(process, 'versions', { value: Object.assign({}, process.versions, { node: '18.20.1' }) })"
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-old-'))
    const preload = join(folder, 'old.cjs')
    writeFileSync(preload, pretend)
    const run = (event: string) =>
      spawnSync(process.execPath, ['--require', preload, LAUNCHER, 'demo'], {
        encoding: 'utf8',
        env: { ...process.env, npm_lifecycle_event: event },
      })
    const { status, stdout, stderr } = run('')
    const { stderr: saidToNpm } = run('start')
    rmSync(folder, { recursive: true })
    assert.deepEqual([status, stdout], [1, ''])
    const need = 'evenkeel needs Node\\.js 24 or newer, and this is [^\\n]+'
    const isLinux = process.platform === 'linux'
    assert.match(
      stderr,
      new RegExp(`^${need}${isLinux ? ': in this checkout write `npm run -s evenkeel -- …`' : ''}\n$`),
    )
    assert.match(saidToNpm, new RegExp(`^${need}${isLinux ? ': `npm ci` brings it' : ''}\n$`))
  })

  test('called by npm takes paths from where npm was called, also from elsewhere', () => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-called-'))
    try {
      const config =
        "version: 1\nlisteners: [{ bind: ':1' }]\nroutes: [{ pool: a }]\npools: { a: { endpoints: [http://a] } }\n"
      writeFileSync(join(folder, 'mine.yaml'), config)
      const args = ['run', '-s', '--prefix', join(LAUNCHER, '../..'), 'evenkeel', '--', 'check', 'mine.yaml']
      const { stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' })
      assert.match(stdout, /✓ mine\.yaml is good/, stderr)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('says so under every older Node that is on PATH', (context) => {
    const found = new Set<string>()
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      const node = join(folder, 'node')
      const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout as string | null
      if (version === null || Number(/^v(\d+)/.exec(version)?.[1] ?? 24) >= 24 || found.has(version)) continue
      found.add(version)
      const { status, stderr } = spawnSync(node, [LAUNCHER, '--version'], { encoding: 'utf8' })
      assert.equal(status, 1)
      assert.match(stderr, /^evenkeel needs Node\.js 24 or newer, and this is v[^\n]+\n$/)
    }
    context.diagnostic(`older Nodes tried: ${[...found].join(', ') || 'none'}`)
  })

  test('is written in a JavaScript that any Node can read', () => {
    const source = ts.createSourceFile(
      'evenkeel.js',
      readFileSync(LAUNCHER, 'utf8'),
      ts.ScriptTarget.ES2015,
      true,
      ts.ScriptKind.JS,
    )
    const modern = new Set([
      ts.SyntaxKind.ArrowFunction,
      ts.SyntaxKind.ClassDeclaration,
      ts.SyntaxKind.TemplateExpression,
      ts.SyntaxKind.NoSubstitutionTemplateLiteral,
      ts.SyntaxKind.ImportDeclaration,
      ts.SyntaxKind.ImportKeyword,
      ts.SyntaxKind.AwaitExpression,
      ts.SyntaxKind.SpreadElement,
      ts.SyntaxKind.ObjectBindingPattern,
      ts.SyntaxKind.ForOfStatement,
    ])
    const visit = (node: ts.Node): void => {
      assert.ok(!modern.has(node.kind), `${ts.SyntaxKind[node.kind]}: ${node.getText()}`)
      if (ts.isVariableDeclarationList(node)) assert.equal(node.flags & ts.NodeFlags.BlockScoped, 0, node.getText())
      assert.ok(!('questionDotToken' in node && node.questionDotToken !== undefined), node.getText())
      ts.forEachChild(node, visit)
    }
    visit(source)
  })

  test('takes the sources where they are, else what was built; also through a link', () => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-launcher-'))
    try {
      cpSync(join(LAUNCHER, '..'), join(folder, 'bin'), { recursive: true })
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
      const put = (name: string, text: string) => {
        mkdirSync(join(folder, name, 'cli'), { recursive: true })
        writeFileSync(join(folder, name, 'cli', name === 'src' ? 'main.ts' : 'main.js'), text)
      }
      put('dist', 'export function run(argv) { console.log("built", argv[2]) }')
      symlinkSync(join(folder, 'bin', 'evenkeel'), join(folder, 'link'))
      const said = () => execFileSync(process.execPath, [join(folder, 'link'), 'x'], { encoding: 'utf8' })
      assert.equal(said(), 'built x\n')
      put('src', 'export function run(argv: string[]): void { console.log("source", argv[2]) }')
      assert.equal(said(), 'source x\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
