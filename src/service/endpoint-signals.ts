/** The body of `PUT /api/v1/endpoints/{id}/signals`: numbers by name. */
import type { ApiProblem } from './problem-response.ts'

/** More than there are columns for. */
const SIGNALS_MAX = 32
const NAME = /^[!-~]{1,128}$/

/** Reads a body; the problem says what is wrong with it. Which names there are is control's to know. */
export function readEndpointSignals(text: string): { readonly signals: Record<string, number> } | ApiProblem {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return wrong(`The body is not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('The body must be a JSON object: {"cpu": 0.7}.')
  const entries = Object.entries(value)
  if (entries.length === 0) return wrong('The body names no signal.')
  if (entries.length > SIGNALS_MAX) return wrong(`A body may name ${SIGNALS_MAX} signals.`)
  const signals: Record<string, number> = {}
  for (const [name, number] of entries) {
    if (!NAME.test(name)) return wrong("A signal's name is 1 to 128 visible ASCII characters without spaces.")
    if (typeof number !== 'number' || !Number.isFinite(number)) return wrong(`The signal "${name}" must be a number.`)
    signals[name] = number
  }
  return { signals }
}

function wrong(detail: string): ApiProblem {
  return { status: 400, title: 'the signals are malformed', detail }
}
