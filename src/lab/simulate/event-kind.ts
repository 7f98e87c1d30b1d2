/** What may happen. The subject of each is in brackets. */
export const EventKind = {
  /** A request comes (stream). */
  ARRIVAL: 0,
  /** It gets to the endpoint (attempt). */
  REACH: 1,
  /** The endpoint is done with one (endpoint). */
  DEPART: 2,
  /** Its answer gets to the balancer (attempt). */
  ANSWER: 3,
  TRY_TIMEOUT: 4,
  /** The endpoint hears that it was given up (attempt). */
  CANCEL: 5,
  /** (request) */
  DEADLINE: 6,
  HEDGE: 7,
  RETRY: 8,
  /** Something happens to the fleet (change), and a balancer learns of it (change × balancers + balancer). */
  CHANGE: 9,
  LEARN: 10,
  /** An antagonist begins or ends (endpoint). */
  ANTAGONIST: 11,
  /** Endpoints report (none). */
  REPORT: 12,
  /** A probe gets to its endpoint, and back (probe). */
  PROBE_REACH: 13,
  PROBE_BACK: 14,
  /** Somebody in a queue has waited for long enough (balancer). */
  EXPIRE: 15,
  /** Counting begins, ends, looks at one group alone (none). */
  WARM: 16,
  END: 17,
  FOCUS: 18,
} as const
