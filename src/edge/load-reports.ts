/** Load reports that endpoints send with their answers (ORCA), for the pools whose picker goes by signals. */
import { ORCA_FIELDS, type OrcaReport, parseOrcaReport } from '../core/signals/orca-report.ts'
import { FieldFlag } from '../http1/fields.ts'
import type { MessageHead } from '../http1/head.ts'
import type { SharedSignals } from '../memory/signals.ts'

export class LoadReports {
  readonly #signals: SharedSignals
  /** A report is meant for us: the client does not get it, unless this is set. */
  readonly #isPassedOn: boolean

  constructor(signals: SharedSignals, isPassedOn: boolean) {
    this.#signals = signals
    this.#isPassedOn = isPassedOn
  }

  /**
   * Takes in what a head or a trailer section says, and marks it as not to be passed on. The caller holds the slot. A report
   * that cannot be read is as none.
   */
  read(head: MessageHead, slot: number, nowMs: number): void {
    let isRead = false
    for (const name of ORCA_FIELDS) {
      for (let i = head.find(name); i >= 0; i = head.find(name, i + 1)) {
        if (!this.#isPassedOn) {
          head.flags[i] = head.flags[i]! | FieldFlag.HOP
          head.regular = false
        }
        if (isRead) continue
        const result = parseOrcaReport(name, head.value(i))
        if (!result.ok) continue
        isRead = true
        this.#note(result.report, slot, nowMs)
      }
    }
  }

  #note(report: OrcaReport, slot: number, nowMs: number): void {
    const signals = this.#signals
    const { cpuUtilization, memUtilization, applicationUtilization, rps, eps } = report
    if (cpuUtilization !== undefined) signals.report('cpu', slot, cpuUtilization, nowMs)
    if (memUtilization !== undefined) signals.report('memory', slot, memUtilization, nowMs)
    // gRFC A58: the application's own word, else its CPU.
    const utilization = applicationUtilization ?? cpuUtilization
    if (utilization !== undefined) signals.report('utilization', slot, utilization, nowMs)
    for (const [name, value] of report.utilization) signals.report(`utilization.${name}`, slot, value, nowMs)
    for (const [name, value] of report.namedMetrics) {
      signals.report(`named_metrics.${name}`, slot, value, nowMs)
      if (!HAS_FIELD.has(name)) signals.report(name, slot, value, nowMs)
    }
    if (rps === undefined) return
    // In protobuf a rate of 0 is not sent.
    signals.report('eps', slot, eps ?? 0, nowMs)
    // Last: `orca` takes a change of its time for a new report.
    signals.report('rps', slot, rps, nowMs)
  }
}

/** Signals for which a report has fields of their own. */
const HAS_FIELD: ReadonlySet<string> = new Set(['cpu', 'memory', 'utilization', 'rps', 'eps'])
