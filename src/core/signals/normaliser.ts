/**
 * How a signal's raw value becomes a number from 0 to 1. Which end is good is the score's matter (`ScoreDefinition.best`).
 *
 * - `linear`: (x − from) / (to − from), cut to 0..1: `from` gives 0, `to` gives 1. `from` may be the larger one.
 * - `inverse`: 1 / (1 + x / scale): 1 at 0, ½ at `scale`, towards 0 without end. What is below 0 counts as 0.
 * - `ratio`: x / (the signal named `of`), cut to 0..1; missing where the divisor is missing or not above 0.
 */
export type Normaliser =
  | { readonly kind: 'linear'; readonly from: number; readonly to: number }
  | { readonly kind: 'inverse'; readonly scale: number }
  | { readonly kind: 'ratio'; readonly of: string }

/** `from` → 0, `to` → 1. */
export function linear(from: number, to: number): Normaliser {
  return { kind: 'linear', from, to }
}

/** A share as it is, 0 to 1. */
export function share(): Normaliser {
  return linear(0, 1)
}

/** 1 − share. */
export function complement(): Normaliser {
  return linear(1, 0)
}

/** 1 / (1 + x / scale). */
export function inverse(scale: number): Normaliser {
  return { kind: 'inverse', scale }
}

/** x over another signal of the same endpoint. */
export function ratio(of: string): Normaliser {
  return { kind: 'ratio', of }
}

/** What is wrong with a normaliser, or null. */
export function normaliserProblem(normaliser: Normaliser): string | null {
  switch (normaliser.kind) {
    case 'linear': {
      const { from, to } = normaliser
      const width = Math.abs(to - from)
      return width > 0 && width < Number.POSITIVE_INFINITY
        ? null
        : `linear from ${from} to ${to}: two different finite numbers are needed`
    }
    case 'inverse':
      return normaliser.scale > 0 && normaliser.scale < Number.POSITIVE_INFINITY
        ? null
        : `inverse with scale ${normaliser.scale}: it must be above 0`
    case 'ratio':
      return normaliser.of === '' ? 'ratio of a signal without a name' : null
  }
}

/** The normal form of `value`, NaN when it or the divisor of a ratio says nothing. */
export function normalise(normaliser: Normaliser, value: number, divisor = Number.NaN): number {
  switch (normaliser.kind) {
    case 'linear':
      return cut((value - normaliser.from) / (normaliser.to - normaliser.from))
    case 'inverse':
      return 1 / (1 + Math.max(0, value) / normaliser.scale)
    case 'ratio':
      return divisor > 0 ? cut(value / divisor) : Number.NaN
  }
}

/** To 0..1; NaN stays NaN. */
function cut(value: number): number {
  return Math.max(0, Math.min(1, value))
}
