/**
 * The one table of everything that can go wrong with an exchange.
 *
 * - `status`: what the client is told when nothing of the answer was sent yet (0: nobody is left to tell).
 * - `source`: whose fault it is: `downstream` (the client), `upstream` (the endpoint), `internal` (us or our limits).
 * - `retry`: may the attempt be repeated? `safe`: nothing was written upstream, any method may be repeated;
 *   `if-reused`: a kept-alive connection died before the first response byte, idempotent methods may be repeated;
 *   `if-idempotent`: the endpoint may have begun the work, only idempotent methods may be repeated; `never`.
 *   Whether a method counts as idempotent is the route's policy, not the error's.
 *
 * The position of a row is its index in shared counters, the key is API: rows are only ever appended.
 */
export const ERRORS = {
  // The head of a request: framing.
  EK_BAD_METHOD: row('the method is not a token', 400, 'downstream', 'never'),
  EK_BAD_TARGET: row('the request target is malformed', 400, 'downstream', 'never'),
  EK_BAD_VERSION: row('the HTTP version is malformed', 400, 'downstream', 'never'),
  EK_VERSION_UNSUPPORTED: row('only HTTP/1.0 and HTTP/1.1 are spoken here', 505, 'downstream', 'never'),
  EK_BARE_CR: row('a carriage return is not followed by a line feed', 400, 'downstream', 'never'),
  EK_BARE_LF: row('a line ends without a carriage return', 400, 'downstream', 'never'),
  EK_OBS_FOLD: row('a field continues on the next line', 400, 'downstream', 'never'),
  EK_SPACE_BEFORE_COLON: row('there is white space before a colon', 400, 'downstream', 'never'),
  EK_BAD_FIELD_NAME: row('a field name is not a token', 400, 'downstream', 'never'),
  EK_BAD_FIELD_VALUE: row('a field value has a control byte', 400, 'downstream', 'never'),
  EK_BAD_CONTENT_LENGTH: row('Content-Length is not a number of bytes', 400, 'downstream', 'never'),
  EK_REPEATED_CONTENT_LENGTH: row('Content-Length stands more than once', 400, 'downstream', 'never'),
  EK_LENGTH_AND_CHUNKED: row('Content-Length and Transfer-Encoding stand together', 400, 'downstream', 'never'),
  EK_REPEATED_TRANSFER_ENCODING: row('Transfer-Encoding stands more than once', 400, 'downstream', 'never'),
  EK_UNKNOWN_TRANSFER_CODING: row('the only transfer coding spoken here is chunked', 501, 'downstream', 'never'),
  EK_CHUNKED_IN_HTTP_1_0: row('HTTP/1.0 has no transfer codings', 400, 'downstream', 'never'),
  EK_MISSING_HOST: row('the Host field is missing', 400, 'downstream', 'never'),
  EK_REPEATED_HOST: row('the Host field stands more than once', 400, 'downstream', 'never'),
  EK_BAD_HOST: row('the host is malformed', 400, 'downstream', 'never'),
  EK_BAD_CONNECTION: row('Connection names a field that it may not remove', 400, 'downstream', 'never'),
  EK_BAD_PATH: row('the path holds a backslash, a NUL, or climbs above the root', 400, 'downstream', 'never'),
  EK_BAD_CHUNK: row('a chunk is malformed', 400, 'downstream', 'never'),
  EK_BAD_CHUNK_EXTENSION: row('a chunk extension is malformed or too long', 400, 'downstream', 'never'),
  EK_BAD_TRAILER: row('a trailer field is malformed or not allowed', 400, 'downstream', 'never'),
  EK_BAD_EXPECT: row('the only expectation met here is 100-continue', 417, 'downstream', 'never'),
  EK_CONNECT_METHOD: row('CONNECT is not served here', 405, 'downstream', 'never'),
  // The head of a request: limits.
  EK_REQUEST_LINE_TOO_LONG: row('the request line is longer than allowed', 414, 'downstream', 'never'),
  EK_HEAD_TOO_LARGE: row('the request head is larger than allowed', 431, 'downstream', 'never'),
  EK_TOO_MANY_FIELDS: row('the request has more fields than allowed', 431, 'downstream', 'never'),
  EK_BODY_TOO_LARGE: row('the request body is larger than allowed', 413, 'downstream', 'never'),
  // Time and presence of the client.
  EK_HEAD_TIMEOUT: row('the request head took too long to arrive', 408, 'downstream', 'never'),
  EK_BODY_TIMEOUT: row('the request body stopped arriving', 408, 'downstream', 'never'),
  EK_SEND_TIMEOUT: row('the client stopped reading', 0, 'downstream', 'never'),
  EK_CLIENT_CLOSED: row('the client went away', 0, 'downstream', 'never'),
  EK_BODY_CUT_SHORT: row('the client ended in the middle of its body', 0, 'downstream', 'never'),
  // Routing and choice.
  EK_NO_ROUTE: row('no route matches', 404, 'internal', 'never'),
  EK_LOOP: row('the request has been here before', 508, 'downstream', 'never'),
  EK_NO_ENDPOINT: row('no endpoint is fit', 503, 'internal', 'never'),
  EK_NO_CAPACITY: row('every fit endpoint is at its connection limit', 503, 'internal', 'never'),
  EK_EXCHANGE_TIMEOUT: row('the exchange took too long', 504, 'internal', 'never'),
  // The endpoint: before anything was written.
  EK_CONNECT_FAILED: row('the endpoint could not be connected to', 502, 'upstream', 'safe'),
  EK_CONNECT_TIMEOUT: row('connecting to the endpoint took too long', 504, 'upstream', 'safe'),
  // The endpoint: after something was written, before the answer began.
  EK_REUSED_CLOSED: row('a kept-alive connection died before the answer began', 502, 'upstream', 'if-reused'),
  EK_UPSTREAM_CLOSED: row('the endpoint closed before the answer began', 502, 'upstream', 'if-idempotent'),
  EK_FIRST_BYTE_TIMEOUT: row('the endpoint did not begin to answer in time', 504, 'upstream', 'if-idempotent'),
  EK_SEND_STALLED: row('the endpoint stopped reading the request', 504, 'upstream', 'if-idempotent'),
  // The endpoint: its answer.
  EK_BAD_RESPONSE: row('the endpoint sent a malformed answer', 502, 'upstream', 'never'),
  EK_RESPONSE_HEAD_TOO_LARGE: row('the head of the answer is larger than allowed', 502, 'upstream', 'never'),
  EK_UNEXPECTED_UPGRADE: row('the endpoint switched protocols unasked', 502, 'upstream', 'never'),
  EK_RESPONSE_CUT_SHORT: row('the endpoint ended in the middle of its answer', 502, 'upstream', 'never'),
  EK_RESPONSE_TIMEOUT: row('the endpoint stopped in the middle of its answer', 504, 'upstream', 'never'),
  EK_BAD_RESPONSE_CHUNK: row('the endpoint sent a malformed chunk', 502, 'upstream', 'never'),
  EK_TUNNEL_IDLE: row('the tunnel was idle for too long', 0, 'internal', 'never'),
  // Ourselves.
  EK_TOO_MANY_CONNECTIONS: row('the listener has as many connections as allowed', 503, 'internal', 'never'),
  EK_TOO_MANY_FROM_ADDRESS: row('this address has as many connections as allowed', 429, 'downstream', 'never'),
  EK_DRAIN_DEADLINE: row('the balancer is stopping', 503, 'internal', 'never'),
  EK_INTERNAL: row('something went wrong inside the balancer', 500, 'internal', 'never'),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS
export type ErrorSource = 'upstream' | 'downstream' | 'internal'
export type RetryRule = 'never' | 'safe' | 'if-reused' | 'if-idempotent'

export interface ErrorRow {
  readonly message: string
  readonly status: number
  readonly source: ErrorSource
  readonly retry: RetryRule
}

/** Every code, by its index. */
export const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERRORS) as ErrorCode[]

/** The index of each code: how counters and parsers name an error without a string. */
export const ERROR_INDEX: Readonly<Record<ErrorCode, number>> = Object.fromEntries(
  ERROR_CODES.map((code, index) => [code, index]),
) as Record<ErrorCode, number>

/** The row at an index made by `ERROR_INDEX`. */
export function errorAt(index: number): ErrorRow {
  return ERRORS[ERROR_CODES[index] ?? 'EK_INTERNAL']
}

function row(message: string, status: number, source: ErrorSource, retry: RetryRule): ErrorRow {
  return { message, status, source, retry }
}
