/**
 * The seam between the request path and the endpoint's side, in both directions: what an exchange asks of a connection to
 * an endpoint, and what such a connection asks and tells of the attempt that it carries. Nothing above it knows sockets.
 */
import type { MessageHead, ResponseHead } from '../http1/head.ts'
import type { LeasedBuffer } from './leased-buffers.ts'

/** One attempt's side of an endpoint connection. */
export interface UpstreamStream {
  /** A piece of the request's body after the head was sent; false: wait for `OutgoingRequest.requestDrained`. */
  data(bytes: Buffer): boolean
  /** The request is complete; `trailers` as text, each with its CRLF. */
  end(trailers: string): void
  /** Stops and starts the flow of the response. */
  pause(): void
  resume(): void
  /** Gives the attempt up: nothing of it is reported any more. */
  cancel(): void
}

/** A request as it goes to an endpoint. */
export interface OutgoingRequest {
  readonly method: number
  readonly isIdempotent: boolean
  /** The head without the blank line. */
  readonly upstreamHead: string
  /** The client sent no host: the endpoint's own name stands in. */
  readonly lacksHost: boolean
  readonly framing: number
  /** What the client offers to switch to, '' for nothing. */
  readonly upgrade: string
  /** The client waits for a 100 before it sends the body. */
  readonly isExpecting: boolean
  readonly requestEnded: boolean
  readonly requestTrailers: string
  /** What of the body is at hand already. */
  readonly body: readonly Buffer[]
  readonly bodyBytes: number
  readonly canReplay: boolean
  /** Why the attempt before failed, an `ERROR_INDEX`; -1 for the first. */
  readonly lastError: number
  /** What was at hand of the body has been written. */
  bodySent(): void
  /** More of the body is wanted. */
  requestDrained(): void
}

/** An attempt, as the connection that carries it knows it. The booleans say whether more of the answer is wanted now. */
export interface UpstreamAttempt {
  readonly exchange: OutgoingRequest
  readonly startedAt: number
  /** It runs on a kept-alive connection. */
  readonly isReused: boolean
  /** Silence that a tunnel bears. */
  readonly tunnelIdleMs: number
  /** Where the answer goes: what is passed on between the two calls leaves as one write. */
  readonly downstream: { cork(): void; uncork(): void }
  hasSentHead: boolean
  /** Which connection carries it, before that starts. */
  carriedBy(upstream: UpstreamStream, isReused: boolean): void
  connected(): void
  interim(head: ResponseHead): void
  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean
  switchProtocols(head: ResponseHead, upgrade: string): void
  data(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean
  /** The answer is complete, and the connection has let go of the attempt already. */
  end(trailers: MessageHead | null): void
  /** The attempt came to nothing. `error` is an `ERROR_INDEX`. */
  failed(error: number): void
  /** A bug of ours met it: it and its exchange end. Says nothing about the endpoint. */
  broken(error: unknown): void
}
