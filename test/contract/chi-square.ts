/**
 * The chance that fair draws differ from what is expected at least as much as these did (Pearson's chi-square test).
 * `observed` and `expected` are counts with equal sums; what is expected 0 times must not occur at all.
 */
export function chanceOfDeviation(observed: ArrayLike<number>, expected: ArrayLike<number>): number {
  let statistic = 0
  let kinds = 0
  for (let i = 0; i < observed.length; i++) {
    if (expected[i] === 0) {
      if (observed[i] !== 0) return 0
      continue
    }
    statistic += (observed[i]! - expected[i]!) ** 2 / expected[i]!
    kinds++
  }
  return kinds < 2 ? 1 : upperGamma((kinds - 1) / 2, statistic / 2)
}

/** The regularised upper incomplete gamma function: by series below a + 1, by Lentz's continued fraction above. */
function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1
  const scale = Math.exp(-x + a * Math.log(x) - logGamma(a))
  if (x < a + 1) {
    let term = 1 / a
    let sum = term
    for (let n = 1; n < 10_000 && term > sum * 1e-15; n++) {
      term *= x / (a + n)
      sum += term
    }
    return 1 - sum * scale
  }
  let b = x + 1 - a
  let c = 1e300
  let d = 1 / b
  let fraction = d
  for (let n = 1; n < 10_000; n++) {
    const factor = -n * (n - a)
    b += 2
    d = 1 / (factor * d + b)
    c = b + factor / c
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return fraction * scale
}

/** Stirling's series after shifting the argument above 10. */
function logGamma(x: number): number {
  let shift = 0
  while (x < 10) shift -= Math.log(x++)
  const r = 1 / (x * x)
  return shift + (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + (1 / 12 - r * (1 / 360 - r / 1260)) / x
}
