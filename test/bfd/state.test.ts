/** The transition table, to be read beside the diagram of RFC 5880 §6.2 and the rules of §6.8.6. */
import { BfdDiagnostic, BfdState, formatBfdState } from 'bgp-parse';
import t from 'tap';
import { step } from '../../src/bfd/state.js';

const { adminDown, down, init, up } = BfdState;
const {
  controlDetectionTimeExpired: expired,
  neighborSignaledSessionDown: signaled,
  administrativelyDown,
  none,
} = BfdDiagnostic;
const same = undefined;

/** Per state: what hearing AdminDown, Down, Init, Up leads to, then expiry, disable, enable. Each with its diagnostic. */
const TABLE: Record<string, readonly [BfdState, number | undefined][]> = {
  AdminDown: [
    [adminDown, same],
    [adminDown, same],
    [adminDown, same],
    [adminDown, same],
    [adminDown, same],
    [adminDown, administrativelyDown],
    [down, none],
  ],
  Down: [
    [down, same],
    [init, same],
    [up, none],
    [down, same],
    [down, same],
    [adminDown, administrativelyDown],
    [down, same],
  ],
  Init: [
    [down, signaled],
    [init, same],
    [up, none],
    [up, none],
    [down, expired],
    [adminDown, administrativelyDown],
    [init, same],
  ],
  Up: [
    [down, signaled],
    [down, signaled],
    [up, same],
    [up, same],
    [down, expired],
    [adminDown, administrativelyDown],
    [up, same],
  ],
};

const EVENTS = [
  ...Object.values(BfdState).map((state) => ({ type: 'received', state }) as const),
  { type: 'detectionTimeExpires' } as const,
  { type: 'disable' } as const,
  { type: 'enable' } as const,
];

for (const state of Object.values(BfdState)) {
  const name = formatBfdState(state);
  t.test(name, (t) => {
    for (const [index, event] of EVENTS.entries()) {
      const [next, diagnostic] = TABLE[name]![index]!;
      const label = event.type === 'received' ? `hears ${formatBfdState(event.state)}` : event.type;
      t.same(step(state, event), { state: next, diagnostic }, label);
    }
    t.end();
  });
}
