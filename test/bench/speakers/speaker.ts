/** What the bench needs to know of a BGP speaker: is it here, and how is it started for a scenario. */

export interface SpeakerSetup {
  /** A folder of its own for configuration, logs and sockets. */
  readonly folder: string;
  /** Its address and router id. */
  readonly address: string;
  /** Where it listens. 179 for all but Tortie. */
  readonly port: number;
  readonly asn: number;
  /** Sessions it must accept; it never dials. */
  readonly peers: readonly { readonly address: string; readonly asn: number }[];
  /** All peers are internal, and its route reflector clients. */
  readonly reflector: boolean;
  /** It installs into the kernel's main table. */
  readonly kernel: boolean;
  /** Tortie only: folder for V8's CPU profiles of its threads. */
  readonly profileFolder: string | undefined;
  /** Writes a file into the folder; returns its path. */
  readonly write: (name: string, text: string) => string;
}

export interface Speaker {
  readonly name: string;
  /** Programs it needs; the first one found of each list. */
  readonly programs: readonly (readonly string[])[];
  /** Debian package, for people. */
  readonly package: string;
  /** Command that prints the version, given the programs found. */
  readonly version: (programs: readonly string[]) => readonly string[];
  /** False when it cannot install into the kernel. */
  readonly hasKernel: boolean;
  /**
   * Writes its configuration: hold time 90 s, everything accepted and advertised. Returns the shell command that runs it
   * in the foreground, as root, in its namespace, with an empty /run of its own.
   */
  readonly command: (setup: SpeakerSetup, programs: readonly string[]) => string;
}
