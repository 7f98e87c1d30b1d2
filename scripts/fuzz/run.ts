/** The fuzz loop: makes inputs, reads each in two ways, and holds the two against each other, the invariants and the reference. */
import { ERROR_CODES } from '../../src/core/errors.ts'
import { Xoshiro128 } from '../../src/core/random.ts'
import { RequestHead } from '../../src/http1/head.ts'
import { brokenInvariant, differenceFrom } from './invariants.ts'
import { mutate } from './mutate.ts'
import { Ended, type FirstMessage, type FuzzLimits, isSame, StreamReader, WIDE_LIMITS } from './reader.ts'
import { type ReferenceResult, referenceRequest, referenceResponse } from './reference.ts'
import { SEEDS } from './seeds.ts'

export interface FuzzOptions {
  readonly inputs: number
  readonly seed: number
  /** One input in so many is read by the reference too, which is slow; not where limits are narrow. */
  readonly referenceEvery: number
  /** Called about once a second. */
  readonly onProgress?: (result: FuzzResult) => void
  /** Called with every request that was accepted with its body, as text of one byte a character. */
  readonly onAcceptedRequest?: (text: string, end: number) => void
}

export interface FuzzResult {
  inputs: number
  bytes: number
  /** Inputs whose first message was accepted with its body. */
  accepted: number
  /** Inputs whose first head was accepted. */
  heads: number
  /** Inputs that ended in the middle of a message and were not refused. */
  incomplete: number
  compared: number
  milliseconds: number
  readonly refusals: Map<string, number>
  finding: Finding | null
}

export interface Finding {
  readonly what: string
  /** One byte a character. */
  readonly input: string
  readonly cuts: readonly number[]
  readonly index: number
}

const INPUT_ROOM = 1 << 16
/** One input in so many meets limits that it may break. */
const NARROW_EVERY = 16

class Fuzzer {
  readonly result: FuzzResult = {
    inputs: 0,
    bytes: 0,
    accepted: 0,
    heads: 0,
    incomplete: 0,
    compared: 0,
    milliseconds: 0,
    refusals: new Map(),
    finding: null,
  }
  readonly #random: Xoshiro128
  readonly #options: FuzzOptions
  readonly #bytes = Buffer.alloc(INPUT_ROOM)
  readonly #whole = { request: new StreamReader('request'), response: new StreamReader('response') }
  readonly #split = { request: new StreamReader('request'), response: new StreamReader('response') }
  #broken: string | null = null
  #reference: ReferenceResult | null = null
  #text = ''

  constructor(options: FuzzOptions) {
    this.#options = options
    this.#random = new Xoshiro128(options.seed)
    for (const reader of [this.#whole.request, this.#whole.response]) {
      reader.onFirstHead = (head) => {
        this.result.heads++
        this.#broken ??= brokenInvariant(head)
      }
    }
  }

  run(): FuzzResult {
    const { result } = this
    const { inputs, onProgress } = this.#options
    const started = performance.now()
    let reported = started
    while (result.inputs < inputs && result.finding === null) {
      const broken = this.#one()
      result.inputs++
      if (broken !== null) result.finding = broken
      if (result.inputs % 4096 === 0) {
        const now = performance.now()
        result.milliseconds = now - started
        if (now - reported > 1000) {
          reported = now
          onProgress?.(result)
        }
      }
    }
    result.milliseconds = performance.now() - started
    return result
  }

  #one(): Finding | null {
    const { result } = this
    const random = this.#random
    const seed = SEEDS[random.below(SEEDS.length)]!
    const kind = seed.isRequest ? 'request' : 'response'
    const text = mutate(seed, random)
    const isHead = !seed.isRequest && random.below(8) === 0
    const length = this.#bytes.write(text, 0, 'latin1')
    result.bytes += length
    this.#text = text
    // The reference has no limits, so where they are narrow only the two ways of reading are compared.
    const limits = random.below(NARROW_EVERY) === 0 ? narrowLimits(random) : WIDE_LIMITS
    const isCompared = limits === WIDE_LIMITS && result.inputs % this.#options.referenceEvery === 0
    this.#reference = isCompared ? (seed.isRequest ? referenceRequest(text) : referenceResponse(text, isHead)) : null

    const whole = this.#whole[kind]
    whole.onFirstMessage =
      isCompared || (seed.isRequest && this.#options.onAcceptedRequest !== undefined) ? this.#onFirstMessage : null
    const split = this.#split[kind]
    const cuts = this.#cuts(length)
    whole.setLimits(limits)
    split.setLimits(limits)
    try {
      whole.read(this.#bytes, length, [], isHead)
      split.read(this.#bytes, length, cuts, isHead)
    } catch (error) {
      return this.#finding(`an exception: ${String(error)}`, cuts)
    }
    const broken = this.#takeBroken()
    if (broken !== null) return this.#finding(broken, cuts)
    if (!isSame(whole, split)) return this.#finding('another result when cut', cuts)
    if (isCompared) {
      result.compared++
      const difference = this.#verdictDifference(whole)
      if (difference !== null) return this.#finding(difference, cuts)
    }
    if (whole.messages > 0) result.accepted++
    else if (whole.ended === Ended.REFUSED) {
      const code = ERROR_CODES[whole.error]!
      result.refusals.set(code, (result.refusals.get(code) ?? 0) + 1)
    } else result.incomplete++
    return null
  }

  readonly #onFirstMessage = (message: FirstMessage): void => {
    const reference = this.#reference
    if (reference !== null && typeof reference !== 'string') {
      const difference = differenceFrom(reference, message)
      if (difference !== null) this.#broken ??= `the reference reads ${difference} otherwise`
    }
    if (message.head instanceof RequestHead) this.#options.onAcceptedRequest?.(this.#text, message.end)
  }

  #verdictDifference(whole: StreamReader): string | null {
    const reference = this.#reference
    if (typeof reference === 'string') {
      if (whole.messages > 0) return `accepted, and the reference says ${reference}`
      if (reference === 'refused' && whole.ended !== Ended.REFUSED) return 'incomplete, and the reference says refused'
      return null
    }
    return whole.messages > 0 ? null : 'not accepted, and the reference accepts'
  }

  /** What the callbacks found in this input. */
  #takeBroken(): string | null {
    const broken = this.#broken
    this.#broken = null
    return broken
  }

  /** Mostly a few cuts anywhere, sometimes every byte. */
  #cuts(length: number): number[] {
    const random = this.#random
    const cuts: number[] = []
    if (length < 2) return cuts
    if (random.below(32) === 0) {
      for (let i = 1; i < length; i++) cuts.push(i)
      return cuts
    }
    const most = 1 + random.below(5)
    let cut = 0
    for (let i = 0; i < most && cut < length - 1; i++) {
      cut += 1 + random.below(Math.max(1, ((length - cut) * 2) / most))
      if (cut < length) cuts.push(cut)
    }
    return cuts
  }

  #finding(what: string, cuts: readonly number[]): Finding {
    return { what, input: this.#text, cuts, index: this.result.inputs }
  }
}

function narrowLimits(random: Xoshiro128): FuzzLimits {
  return {
    requestLineBytes: 10 + random.below(40),
    headBytes: 20 + random.below(200),
    fieldCount: random.below(6),
    trailerBytes: 4 + random.below(40),
  }
}

/** Runs until `inputs` were read or one is a finding. The same options give the same inputs. */
export function fuzz(options: FuzzOptions): FuzzResult {
  return new Fuzzer(options).run()
}
