/**
 * The seam between the request path and the protocols: what an exchange asks of the client's side and of the endpoint's.
 * HTTP/1.1 over a socket implements both; HTTP/2 implements them once per stream. Nothing in between knows sockets.
 *
 * Ownership of bytes: what comes from an endpoint is borrowed (valid during the call, copy to keep or hold its lease);
 * what comes from a client is owned (never reused, may be kept).
 */
import type { MessageHead, ResponseHead } from '../http1/head.ts'
import type { ForwardedCache } from './forwarded.ts'
import type { ListenerContext } from './listener.ts'
import type { RelayBuffer } from './relay-buffers.ts'

/** The client's side of one exchange. Every `boolean` says whether more may follow at once; if not, `Exchange.responseDrained` will. */
export interface DownstreamStream {
  readonly listener: ListenerContext
  /** The client's address in text, '' for unix sockets. */
  readonly clientAddress: string
  /** The client is a proxy whose word about the request's origin counts. */
  readonly isTrusted: boolean
  /** 'http' or 'https': how the client speaks to us. */
  readonly scheme: 'http' | 'https'
  /** What `forwarded.ts` remembers about this client from one request to the next. */
  forwardedCache: ForwardedCache | null
  /** An interim answer (1xx other than 101). */
  interim(head: ResponseHead): void
  /** The final head with the first bytes of the body; with `isLast` that is all of it. */
  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean
  /** The answer to an upgrade: from here on both bodies are raw bytes until either side ends. */
  switchProtocols(head: ResponseHead, upgrade: string): void
  /** Without a lease the bytes are borrowed; with one they may be kept as long as it is held. */
  data(bytes: Buffer, start: number, end: number, lease: RelayBuffer | null): boolean
  /** Trailers are borrowed. In a tunnel: the endpoint ended its side. */
  end(trailers: MessageHead | null): void
  /** A whole answer of our own. `mustClose`: the request cannot be read to its end. */
  answer(status: number, text: string, mustClose: boolean): void
  /** Ends an answer that cannot be completed, so that the client cannot take it for complete. */
  cut(): void
  /** Stops and starts the flow of the request's body. */
  pauseRequest(): void
  resumeRequest(): void
  /** Several calls until `uncork` leave as one write where the protocol can. */
  cork(): void
  uncork(): void
}

/** One attempt's side of an endpoint connection. */
export interface UpstreamStream {
  /** A piece of the request's body after the head was sent; false: wait for `Exchange.requestDrained`. */
  data(bytes: Buffer): boolean
  /** The request is complete; `trailers` as text, each with its CRLF. */
  end(trailers: string): void
  /** Stops and starts the flow of the response. */
  pause(): void
  resume(): void
  /** Gives the attempt up: nothing of it is reported any more. */
  cancel(): void
}
