/** The page that a demo server answers to a browser: it asks again and again, and shows who answered. One file, no assets. */
import { DEMO_SERVERS } from './cast.ts'

/** The page of the server `name`. */
export function demoPage(name: string): string {
  const colours = Object.fromEntries(DEMO_SERVERS.map((server) => [server.name, server.hex]))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name} · Evenkeel demo</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --who: ${colours[name] ?? '#888'}; --ink: light-dark(#1d2733, #e6edf3); --soft: light-dark(#66727f, #8b98a5); --paper: light-dark(#fbfcfd, #11161c); --line: light-dark(#e3e8ee, #26303a) }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
  main { width: min(46rem, 92vw); padding: 2rem 0 }
  p { margin: 0; color: var(--soft) }
  h1 { margin: .1em 0 .2em; font-size: clamp(3rem, 12vw, 6rem); line-height: 1; letter-spacing: -.03em; color: var(--who) }
  #strip { display: flex; gap: 1px; height: 3.5rem; margin: 2rem 0 1rem; border-radius: .5rem; overflow: hidden; background: var(--line) }
  #strip i { flex: 1; background: var(--who) }
  #strip i.none { background: none }
  #strip i.bad { background: repeating-linear-gradient(45deg, #d33 0 4px, transparent 4px 8px) }
  ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .45rem }
  li { display: grid; grid-template-columns: 5rem 1fr 7rem; gap: .8rem; align-items: center }
  li b { font-weight: 600; color: var(--who) }
  li span { height: .6rem; border-radius: .3rem; background: var(--line); overflow: hidden }
  li span i { display: block; height: 100%; border-radius: .3rem; background: var(--who); transition: width .2s }
  li em { font-style: normal; text-align: right; white-space: nowrap; color: var(--soft); font-variant-numeric: tabular-nums }
  footer { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .9rem; color: var(--soft) }
  code { font: .92em ui-monospace, monospace; color: var(--ink) }
</style>
</head>
<body>
<main>
  <p id="lead">This page came from</p>
  <h1 id="who">${name}</h1>
  <p id="detail">Asking again four times a second…</p>
  <div id="strip" role="img" aria-label="The last 100 answers, by server"></div>
  <ul id="shares"></ul>
  <footer>The last 100 answers, newest on the right. Press <code>1</code>, <code>2</code> or <code>3</code> in the terminal to kill a server: its colour leaves, and it comes back when you press again. <span id="count"></span></footer>
</main>
<script>
const colours = ${JSON.stringify(colours)}
const last = []
let asked = 0, failed = 0
const $ = (id) => document.getElementById(id)
function show() {
  const empty = Array.from({ length: 100 - last.length })
  $('strip').replaceChildren(...[...empty, ...last].map((each) => {
    const bar = document.createElement('i')
    if (each === undefined) {
      bar.className = 'none'
      return bar
    }
    if (each.server === null) bar.className = 'bad'
    else bar.style.setProperty('--who', colours[each.server] || '#888')
    bar.title = each.server === null ? each.what : each.server + ', ' + each.ms + ' ms'
    return bar
  }))
  $('shares').replaceChildren(...Object.keys(colours).map((name) => {
    const own = last.filter((each) => each.server === name)
    const share = last.length === 0 ? 0 : own.length / last.length
    const row = document.createElement('li')
    row.style.setProperty('--who', colours[name])
    const bar = document.createElement('i')
    bar.style.width = 100 * share + '%'
    const label = document.createElement('b'), track = document.createElement('span'), text = document.createElement('em')
    label.textContent = name
    track.append(bar)
    const mean = own.length === 0 ? '' : ' · ' + Math.round(own.reduce((sum, each) => sum + each.ms, 0) / own.length) + ' ms'
    text.textContent = Math.round(100 * share) + ' %' + mean
    row.append(label, track, text)
    return row
  }))
}
async function ask() {
  const from = performance.now()
  let answer
  try {
    const response = await fetch('/', { headers: { accept: 'application/json' }, cache: 'no-store' })
    if (!response.ok) throw new Error('status ' + response.status)
    answer = { ...(await response.json()), ms: Math.max(1, Math.round(performance.now() - from)) }
    $('lead').textContent = 'The latest answer came from'
    $('who').textContent = answer.server
    $('detail').textContent = 'its answer number ' + answer.answered + ', after ' + answer.ms + ' ms; it has been up for ' + answer.upSeconds + ' s'
    document.documentElement.style.setProperty('--who', colours[answer.server] || '#888')
  } catch (error) {
    answer = { server: null, what: String(error.message || error) }
    $('lead').textContent = 'No answer'
    $('detail').textContent = answer.what
  }
  asked++
  if (answer.server === null) failed++
  $('count').textContent = 'Since this page was opened it asked ' + asked + (asked === 1 ? ' time; ' : ' times; ') + (failed === 0 ? 'every request was answered.' : failed + ' failed.')
  last.push(answer)
  if (last.length > 100) last.shift()
  show()
  setTimeout(ask, Math.max(0, 250 - (performance.now() - from)))
}
show()
ask()
</script>
</body>
</html>
`
}
