import { PICKERS, type PickerName } from '../core/balance/registry.ts'
import { nearest } from './nearest.ts'

/** The names of the built-in pickers, as a config may give them. */
export const PICKER_NAMES: readonly string[] = Object.keys(PICKERS)

/** What nginx, HAProxy, Envoy, Traefik and Caddy call these pickers; letters only, so that case and dashes do not count. */
const NAMES_ELSEWHERE: Readonly<Record<string, PickerName>> = {
  rr: 'round-robin',
  wrr: 'weighted-round-robin',
  staticrr: 'round-robin',
  smoothweightedroundrobin: 'weighted-round-robin',
  clientsideweightedroundrobin: 'orca',
  first: 'first-available',
  leastconn: 'least-requests',
  leastconnection: 'least-requests',
  leastconnections: 'least-requests',
  leastrequest: 'least-requests',
  leastloaded: 'least-requests',
  wlc: 'weighted-least-requests',
  leasttime: 'least-response-time',
  ewma: 'peak-ewma',
  randomchoose: 'p2c',
  randomtwo: 'p2c',
  poweroftwo: 'p2c',
  poweroftwochoices: 'p2c',
  poweroftworandomchoices: 'p2c',
  source: 'ip-hash',
  sourceip: 'ip-hash',
  sourcehash: 'ip-hash',
  clientip: 'ip-hash',
  clientiphash: 'ip-hash',
  hrw: 'rendezvous',
  highestrandomweight: 'rendezvous',
  jumphash: 'jump',
  multiprobehash: 'multi-probe',
  hash: 'ring-hash',
  ketama: 'ring-hash',
  consistenthash: 'ring-hash',
  consistent: 'ring-hash',
  uri: 'ring-hash',
  urihash: 'ring-hash',
  url: 'ring-hash',
  urlparam: 'ring-hash',
  query: 'ring-hash',
  header: 'ring-hash',
  cookie: 'ring-hash',
  path: 'ring-hash',
}

/** What to write instead of a picker's name that does not exist. */
export function pickerHint(name: string): string {
  const letters = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const same = PICKER_NAMES.find((each) => each.replaceAll('-', '') === letters)
  const meant =
    same ?? (Object.hasOwn(NAMES_ELSEWHERE, letters) ? NAMES_ELSEWHERE[letters] : nearest(name, PICKER_NAMES))
  return meant === undefined ? `one of ${PICKER_NAMES.join(', ')}` : `did you mean '${meant}'?`
}
