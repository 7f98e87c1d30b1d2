import { randomFillSync } from 'node:crypto'
import { cursorBytes } from './cursors.ts'
import { endpointColumnBytes, endpointLedgerBytes, endpointRecordBytes } from './endpoint-table.ts'
import { keyedTableBytes, seedKeyedTable } from './keyed-table.ts'
import { ledgerBytes } from './ledger.ts'
import { signalBytes } from './signals.ts'
import { boardBytes, counterBytes } from './worker-board.ts'

/**
 * How much of everything there is room for. Fixed for the life of the memory.
 *
 * Bytes, to the byte what `memoryBytes` says, for 10 000 endpoints, 16 workers, 1024 pools, 64 listeners, 65 536 addresses
 * (their default in the config) and 128 counters: 40 672 448 (39 MiB). Of these the records (counters, histogram and latency
 * average by endpoint and worker) are 30 720 000, the two ledgers 1 360 000, the signals 2 560 064, the other endpoint columns 440 000, the
 * addresses 5 505 088. What is never touched takes no real memory: such a table costs 0.3 MiB until endpoints are allocated.
 */
export interface MemorySizes {
  readonly endpoints: number
  readonly workers: number
  readonly pools: number
  readonly listeners: number
  /** Entries for client addresses with open connections; rounded up to a power of two. See `KeyedTable` for how full is too full. */
  readonly addresses: number
  /** Width of a worker's row of counters. */
  readonly workerCounters: number
}

/** What all threads share. Structured-cloneable: a worker gets it by `workerData`, the buffers are the same ones. */
export interface SharedMemory {
  readonly sizes: MemorySizes
  readonly endpointColumns: SharedArrayBuffer
  readonly endpointRecords: SharedArrayBuffer
  readonly inFlight: SharedArrayBuffer
  readonly connections: SharedArrayBuffer
  readonly addresses: SharedArrayBuffer
  readonly board: SharedArrayBuffer
  readonly workerCounters: SharedArrayBuffer
  readonly listenerConnections: SharedArrayBuffer
  readonly cursors: SharedArrayBuffer
  readonly signals: SharedArrayBuffer
}

/** Makes the memory, all zero but for the random key of the address table. */
export function createSharedMemory(sizes: MemorySizes): SharedMemory {
  const bytes = partBytes(sizes)
  const memory: SharedMemory = {
    sizes: { ...sizes },
    endpointColumns: new SharedArrayBuffer(bytes.endpointColumns),
    endpointRecords: new SharedArrayBuffer(bytes.endpointRecords),
    inFlight: new SharedArrayBuffer(bytes.inFlight),
    connections: new SharedArrayBuffer(bytes.connections),
    addresses: new SharedArrayBuffer(bytes.addresses),
    board: new SharedArrayBuffer(bytes.board),
    workerCounters: new SharedArrayBuffer(bytes.workerCounters),
    listenerConnections: new SharedArrayBuffer(bytes.listenerConnections),
    cursors: new SharedArrayBuffer(bytes.cursors),
    signals: new SharedArrayBuffer(bytes.signals),
  }
  seedKeyedTable(memory, randomFillSync(new Int32Array(2)))
  return memory
}

/** Bytes of all parts together, exactly. */
export function memoryBytes(sizes: MemorySizes): number {
  return Object.values(partBytes(sizes)).reduce((sum, bytes) => sum + bytes, 0)
}

function partBytes(sizes: MemorySizes): Record<Exclude<keyof SharedMemory, 'sizes'>, number> {
  return {
    endpointColumns: endpointColumnBytes(sizes),
    endpointRecords: endpointRecordBytes(sizes),
    inFlight: endpointLedgerBytes(sizes),
    connections: endpointLedgerBytes(sizes),
    addresses: keyedTableBytes(sizes),
    board: boardBytes(sizes),
    workerCounters: counterBytes(sizes),
    listenerConnections: ledgerBytes(sizes.listeners, sizes.workers),
    cursors: cursorBytes(sizes),
    signals: signalBytes(sizes),
  }
}
