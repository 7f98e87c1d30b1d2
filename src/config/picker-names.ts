import { PICKERS, type PickerName } from '../core/balance/registry.ts'
import { nearest } from './nearest.ts'

/** The names of the built-in pickers, as a config may give them. */
export const PICKER_NAMES: readonly string[] = Object.keys(PICKERS)

/** What nginx, HAProxy, Envoy, Traefik and Caddy call these pickers; letters only, so that case and dashes do not count. */
const NAMES_ELSEWHERE: Readonly<Record<string, PickerName>> = {
  rr: 'round-robin',
  wrr: 'round-robin',
  staticrr: 'round-robin',
  weightedroundrobin: 'round-robin',
  smoothweightedroundrobin: 'round-robin',
  leastconn: 'least-requests',
  leastconnection: 'least-requests',
  leastconnections: 'least-requests',
  leastrequest: 'least-requests',
  leastloaded: 'least-requests',
  randomchoose: 'p2c',
  randomtwo: 'p2c',
  poweroftwo: 'p2c',
  poweroftwochoices: 'p2c',
  poweroftworandomchoices: 'p2c',
}

/** Pickers of others that choose by a hash of something of the request: none of ours does. */
const HASHING = new Set([
  'hash',
  'hrw',
  'iphash',
  'ringhash',
  'ketama',
  'maglev',
  'source',
  'sourceip',
  'clientip',
  'uri',
  'urihash',
  'urlparam',
  'header',
  'cookie',
  'consistenthash',
])

/** What to write instead of a picker's name that does not exist. */
export function pickerHint(name: string): string {
  const letters = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const same = PICKER_NAMES.find((each) => each.replaceAll('-', '') === letters)
  const meant =
    same ?? (Object.hasOwn(NAMES_ELSEWHERE, letters) ? NAMES_ELSEWHERE[letters] : nearest(name, PICKER_NAMES))
  if (meant !== undefined) return `did you mean '${meant}'?`
  const known = `one of ${PICKER_NAMES.join(', ')}`
  return HASHING.has(letters) ? `no picker hashes yet; ${known}` : known
}
