/** The demo's three servers: their names, colours and paces. */

export interface DemoServerTraits {
  readonly name: string
  /** For the terminal. */
  readonly colour: 'yellowBright' | 'greenBright' | 'blueBright'
  /** For the page. */
  readonly hex: string
  /** Usual service time. */
  readonly baseMs: number
}

export const DEMO_SERVERS: readonly DemoServerTraits[] = [
  { name: 'amber', colour: 'yellowBright', hex: '#f5a623', baseMs: 4 },
  { name: 'birch', colour: 'greenBright', hex: '#5cb85c', baseMs: 7 },
  { name: 'cobalt', colour: 'blueBright', hex: '#4a90e2', baseMs: 12 },
]
