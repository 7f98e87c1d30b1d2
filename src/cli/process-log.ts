/** What a running balancer says about itself, on standard error: lines for a person, or one JSON object per line. */
import { styleText } from 'node:util'
import type { LogRecord } from '../control/balancer.ts'

/** Standard output is kept for results and the access log, so that it can be piped on. */
export class ProcessLog {
  readonly #asJson: boolean
  readonly #isDebugging: boolean = process.env['EVENKEEL_DEBUG'] === '1'

  constructor(asJson: boolean) {
    this.#asJson = asJson
  }

  /** A record of the balancer's; `debug` ones only with EVENKEEL_DEBUG=1. */
  record(record: LogRecord): void {
    if (record.level === 'debug' && !this.#isDebugging) return
    if (this.#asJson) write(JSON.stringify(record))
    else write(`${clock(record.time)} ${word(record.level)} ${record.message}`)
  }

  /** A line of the command's own; `fields` stand in the JSON form only. */
  say(level: LogRecord['level'], event: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.record({ ...fields, level, time: new Date().toISOString(), component: 'balancer', event, message })
  }

  /** A line for people only: what the JSON form says in fields. */
  note(line: string): void {
    if (!this.#asJson) write(line)
  }
}

/** A full disk or a terminal that is gone costs lines, never the process. */
function write(line: string): void {
  try {
    process.stderr.write(`${line}\n`)
  } catch {
    // There is nowhere left to say so.
  }
}

function clock(time: string): string {
  return style('dim', process.stderr.isTTY ? new Date(time).toTimeString().slice(0, 8) : time)
}

function word(level: LogRecord['level']): string {
  switch (level) {
    case 'error':
      return style('red', 'error')
    case 'warn':
      return style('yellow', 'warn ')
    case 'info':
      return style('green', 'info ')
    case 'debug':
      return style('dim', 'debug')
  }
}

function style(format: 'dim' | 'red' | 'yellow' | 'green', text: string): string {
  return styleText(format, text, { stream: process.stderr })
}
