/** What `feed` of a parser or decoder says. */
export const ParseStatus = {
  /** Every byte given was taken in; the message is not whole yet. */
  MORE: 0,
  /** The message (or body) is whole; `consumed` says where in the given chunk it ended. */
  DONE: 1,
  /** A rule is broken; `error` says which. Stays so until `reset()`. */
  ERROR: 2,
} as const

/** Stands for "no error" where an index of `ERROR_INDEX` is expected: 0 is the index of a real error. */
export const NO_ERROR = -1

/**
 * The two results of an inner step that are not a position in the bytes.
 * A step takes bytes from a position up to a stop, and returns the position behind what it was to read, or one of these.
 */
export const Step = {
  /** Ran into the stop; the state is kept. */
  STARVED: -1,
  /** A rule is broken. */
  BROKEN: -2,
} as const
