/**
 * The seam between the request path and the client's side: what an exchange asks of whoever brought the request.
 * HTTP/1.1 over a socket implements it; HTTP/2 implements it once per stream. Nothing above it knows sockets.
 *
 * Ownership of bytes: what comes from an endpoint is borrowed (valid during the call, copy to keep or hold its lease);
 * what comes from a client is owned (never reused, may be kept).
 */
import type { MessageHead, ResponseHead } from '../http1/head.ts'
import type { ListenerPlan } from '../pool/plan.ts'
import type { AddressSet } from './client-address.ts'
import type { Client } from './forwarded.ts'
import type { LeasedBuffer } from './leased-buffers.ts'
import type { RouteTable } from './route-table.ts'

/** A client's connection as the listener sees it. */
export interface DownstreamConnection {
  /** Closes when it can. */
  drain(): void
  destroy(): void
}

/** What connections need of their listener. A reload changes all of it at once, under open connections. */
export interface ListenerContext {
  readonly plan: ListenerPlan
  readonly routes: RouteTable
  /** Peers whose word about a request's origin counts. Another object after each reload. */
  readonly trusted: AddressSet
  readonly isDraining: boolean
  closed(connection: DownstreamConnection): void
}

/** The client's side of one exchange. Every `boolean` says whether more may follow at once; if not, `Exchange.responseDrained` will. */
export interface DownstreamStream extends Client {
  readonly listener: ListenerContext
  /** An interim answer (1xx other than 101). */
  interim(head: ResponseHead): void
  /** The final head with the first bytes of the body; with `isLast` that is all of it. */
  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean
  /** The answer to an upgrade: from here on both bodies are raw bytes until either side ends. */
  switchProtocols(head: ResponseHead, upgrade: string): void
  /** Without a lease the bytes are borrowed; with one they may be kept as long as it is held. */
  data(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean
  /** Trailers are borrowed. In a tunnel: the endpoint ended its side. */
  end(trailers: MessageHead | null): void
  /** A whole answer of our own. `mustClose`: the request cannot be read to its end. */
  answer(status: number, text: string, mustClose: boolean): void
  /** Ends an answer that cannot be completed, so that the client cannot take it for complete. */
  cut(): void
  /** Ends it at once and without an answer, whatever it is in the middle of. */
  abandon(): void
  /** Stops and starts the flow of the request's body. */
  pauseRequest(): void
  resumeRequest(): void
  /** Several calls until `uncork` leave as one write where the protocol can. */
  cork(): void
  uncork(): void
}
