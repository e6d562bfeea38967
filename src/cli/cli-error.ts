/** What `bgpctl` says when it cannot do what was asked, and with which exit code it ends. */

/** The contract with scripts. */
export const Exit = { done: 0, refused: 1, usage: 2, notReachable: 3 } as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

export class CliError extends Error {
  readonly exit: Exit;

  constructor(exit: Exit, message: string) {
    super(message);
    this.name = 'CliError';
    this.exit = exit;
  }
}
