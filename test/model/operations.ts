/**
 * Everything that can happen to a speaker, as data, and the questions every RIB answers: so that one scenario or one
 * random run can be played to the model and to the real RIB alike.
 */
import type { Family } from 'bgp-parse';
import type { PathAttributes, Peer } from './attributes.js';
import type { ForwardingSettings } from './forwarding.js';
import { Model, type SpeakerIdentity } from './model.js';

export type Operation =
  | { readonly op: 'establish'; readonly peer: Peer; readonly preserved?: readonly Family[] }
  /** The same session, configured anew: policies and `nextHopSelf` may differ. */
  | { readonly op: 'configure'; readonly peer: Peer }
  /** `forget`: the peer leaves the configuration; it may come back as a new one. */
  | { readonly op: 'down'; readonly peer: string; readonly keepStale?: boolean; readonly forget?: boolean }
  | {
      readonly op: 'announce';
      readonly peer: string;
      readonly prefix: string;
      readonly attributes: PathAttributes;
      readonly pathId?: number;
    }
  | { readonly op: 'withdraw'; readonly peer: string; readonly prefix: string; readonly pathId?: number }
  | { readonly op: 'beginRefresh'; readonly peer: string; readonly family: Family }
  | { readonly op: 'endOfRib'; readonly peer: string; readonly family: Family }
  /** The peer asks to be told everything again (RFC 2918). */
  | { readonly op: 'askRefresh'; readonly peer: string; readonly family: Family }
  | { readonly op: 'originate'; readonly prefix: string }
  | { readonly op: 'unoriginate'; readonly prefix: string }
  /** `multipath` and `fib.backup` of the configuration. */
  | { readonly op: 'forwarding'; readonly settings: ForwardingSettings }
  /** Without a metric the next hop is unreachable. */
  | { readonly op: 'nextHop'; readonly address: string; readonly metric?: number };

/** One candidate: whose it is (null = ours), whether it is best, and why. */
export interface Verdict {
  readonly peer: string | null;
  readonly pathId: number;
  readonly best: boolean;
  readonly stale: boolean;
  readonly reason: string;
}

/** What the model and the real RIB both can do. */
export interface RibUnderTest {
  apply(operation: Operation): void;
  /** All candidates for the prefix, in any order. */
  verdicts(prefix: string): Verdict[];
  /** What the peer holds of us after all that was sent to it. */
  advertised(peer: string): Map<string, PathAttributes>;
  /** Next hop, or all that is in `forwardingText`, by prefix, as handed to the kernel side. */
  fib(): Map<string, string>;
}

export class ModelUnderTest implements RibUnderTest {
  readonly model: Model;

  constructor(speaker: SpeakerIdentity) {
    this.model = new Model(speaker);
  }

  apply(operation: Operation): void {
    const { model } = this;
    switch (operation.op) {
      case 'establish':
        return model.establish(operation.peer, operation.preserved ? { preserved: operation.preserved } : {});
      case 'configure':
        return model.configure(operation.peer);
      case 'down':
        return model.down(operation.peer, { keepStale: operation.keepStale ?? false });
      case 'announce':
        return model.announce(operation.peer, operation.prefix, operation.attributes, operation.pathId);
      case 'withdraw':
        return model.withdraw(operation.peer, operation.prefix, operation.pathId);
      case 'beginRefresh':
        return model.beginRefresh(operation.peer, operation.family);
      case 'askRefresh':
        return;
      case 'endOfRib':
        return model.endOfRib(operation.peer, operation.family);
      case 'originate':
        return model.originate(operation.prefix);
      case 'unoriginate':
        return model.unoriginate(operation.prefix);
      case 'forwarding':
        model.forwarding = operation.settings;
        return;
      case 'nextHop': {
        const { address, metric } = operation;
        return model.setNextHop(address, { resolvable: metric !== undefined, metric: metric ?? 0 });
      }
    }
  }

  verdicts(prefix: string): Verdict[] {
    return this.model.candidates(prefix).map(({ path, best, reason }) => ({
      peer: path.peer?.id ?? null,
      pathId: path.pathId,
      best,
      stale: path.stale,
      reason,
    }));
  }

  advertised(peer: string): Map<string, PathAttributes> {
    return this.model.adjRibOut(peer);
  }

  fib(): Map<string, string> {
    return this.model.fib();
  }
}
