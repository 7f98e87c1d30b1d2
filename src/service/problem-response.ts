/** Errors of the admin API as RFC 9457 problem details. */

/** A problem to be answered. */
export interface ApiProblem {
  readonly status: number
  /** Short and the same for every occurrence; also makes the `type`. */
  readonly title: string
  /** What happened here, and what to do about it. */
  readonly detail?: string
  /** Name of the thing that was probably meant. */
  readonly hint?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** `application/problem+json` with `type`, `title`, `status`, `detail` and, where there is one, `hint`. */
export function problemResponse(problem: ApiProblem): Response {
  const { status, title, detail, hint, headers } = problem
  // A URN, because the page that describes a problem is wherever the reader's copy of the docs is.
  const type = `urn:evenkeel:problem:${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`
  return new Response(`${JSON.stringify({ type, title, status, detail, hint })}\n`, {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json' },
  })
}
