/**
 * The state machine of RFC 5880 §6.2 and §6.8.6, as a pure function. A session reacts to the state it hears and to
 * three things of its own; `test/bfd/state.test.ts` is the table.
 */
import { BfdDiagnostic, BfdState } from 'bgp-parse';

export type BfdEvent =
  | { readonly type: 'received'; readonly state: BfdState }
  /** Nothing valid has come for the detection time (§6.8.4). */
  | { readonly type: 'detectionTimeExpires' }
  /** §6.8.16 */
  | { readonly type: 'disable' }
  | { readonly type: 'enable' };

export interface BfdStep {
  readonly state: BfdState;
  /** Why, when the state has changed for the worse; undefined = stays what it was. */
  readonly diagnostic: number | undefined;
}

const { adminDown, down, init, up } = BfdState;

export function step(state: BfdState, event: BfdEvent): BfdStep {
  switch (event.type) {
    case 'received':
      return received(state, event.state);
    case 'detectionTimeExpires':
      // §6.8.4: Init and Up only; Down has nothing to lose.
      return state === init || state === up
        ? { state: down, diagnostic: BfdDiagnostic.controlDetectionTimeExpired }
        : stay(state);
    case 'disable':
      return { state: adminDown, diagnostic: BfdDiagnostic.administrativelyDown };
    case 'enable':
      return state === adminDown ? { state: down, diagnostic: BfdDiagnostic.none } : stay(state);
  }
}

/** §6.8.6: "If received state is …". */
function received(state: BfdState, theirs: BfdState): BfdStep {
  if (state === adminDown) return stay(state);
  if (theirs === adminDown) return state === down ? stay(state) : signaledDown;
  switch (state) {
    case down:
      if (theirs === down) return { state: init, diagnostic: undefined };
      return theirs === init ? becomesUp : stay(state);
    case init:
      return theirs === down ? stay(state) : becomesUp;
    case up:
      return theirs === down ? signaledDown : stay(state);
  }
}

const signaledDown: BfdStep = { state: down, diagnostic: BfdDiagnostic.neighborSignaledSessionDown };
const becomesUp: BfdStep = { state: up, diagnostic: BfdDiagnostic.none };
const stays: readonly BfdStep[] = [adminDown, down, init, up].map((state) => ({ state, diagnostic: undefined }));

function stay(state: BfdState): BfdStep {
  return stays[state]!;
}
