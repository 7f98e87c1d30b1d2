/** `x-evenkeel-explain`: why an endpoint was picked, in one field of the answer, for trusted clients that ask. */
import type { Explanation } from '../core/balance/picker.ts'

/** Of the request and of its answer. */
export const EXPLAIN_FIELD = 'x-evenkeel-explain'

/** Characters of the field's value. */
const MOST = 1024
const CANDIDATES = 8
/** Whatever a field's value may not hold: ids and zones come from configs. */
const UNFIT = /[^\x20-\x7e]/g

interface Explained {
  readonly plan: { readonly name: string; readonly picker: { readonly name: string } }
  readonly keyOf: object | null
  idAt(position: number): string
}

interface Asked {
  readonly attempts: number
  readonly hashKey: number
}

/** One line: pool, picker, attempt, key, pick, candidates with what was compared, and the reason. Bounded. */
export function explanationText(pool: Explained, told: Explanation, { attempts, hashKey }: Asked): string {
  const { position, reason, candidates, others } = told
  const shown = candidates.slice(0, CANDIDATES).map((candidate) => {
    const cost = candidate.cost === null ? '' : `=${short(candidate.cost)}`
    return `${pool.idAt(candidate.position)}${cost}${candidate.isVetoed ? '!' : ''}`
  })
  const more = others + candidates.length - shown.length
  const text = [
    `pool=${pool.plan.name}`,
    `picker=${pool.plan.picker.name}`,
    `attempt=${attempts + 1}`,
    ...(pool.keyOf === null ? [] : [`key=${(hashKey >>> 0).toString(16).padStart(8, '0')}`]),
    `pick=${position < 0 ? 'none' : pool.idAt(position)}`,
    `candidates=${shown.join(',')}${more > 0 ? `,+${more}` : ''}`,
    `reason=${reason}`,
  ].join('; ')
  const plain = text.replace(UNFIT, (character) => (character === '×' ? 'x' : '?'))
  return plain.length > MOST ? `${plain.slice(0, MOST - 3)}...` : plain
}

/** The field with its CRLF; nothing while nothing was picked. */
export function explainField(explanation: string): string {
  return explanation === '' ? '' : `${EXPLAIN_FIELD}: ${explanation}\r\n`
}

function short(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4)
}
