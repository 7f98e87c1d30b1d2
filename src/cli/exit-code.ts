/** What a command's exit says; documented in docs/reference/commands.md. */
export const ExitCode = {
  OK: 0,
  /** Something is wrong with what the command was asked to do: a broken config, a taken port, a balancer that does not answer. */
  PROBLEM: 1,
  /** The command line itself is wrong. */
  USAGE: 2,
} as const
