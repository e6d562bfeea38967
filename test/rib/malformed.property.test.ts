/**
 * Damaged UPDATE messages: whatever comes in, nothing is thrown, the columns stay consistent, other peers' paths are not
 * touched, and what goes out to other peers is well-formed (RFC 7606 §2, §3).
 */
import assert from 'node:assert/strict';
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { BgpError, Disposition } from 'bgp-parse';
import type { Operation } from '../model/operations.js';
import { RibHarness } from './fixtures/harness.js';
import { histories, PREFIXES, SPEAKER } from './fixtures/histories.js';
import { announcement, type Manner } from './fixtures/wire.js';

type Announce = Extract<Operation, { op: 'announce' }>;

interface Damage {
  readonly at: number;
  readonly kind: 'set' | 'flip' | 'cut' | 'insert' | 'remove';
  readonly value: number;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  kind: fc.constantFrom('set' as const, 'flip' as const, 'cut' as const, 'insert' as const, 'remove' as const),
  value: fc.oneof(fc.constantFrom(0, 1, 3, 4, 15, 16, 17, 128, 255), fc.nat(255)),
});

function damaged(body: Uint8Array, { at, kind, value }: Damage): Uint8Array {
  if (body.length === 0) return body;
  const index = Math.floor(at * body.length);
  switch (kind) {
    case 'set':
      return body.with(index, value);
    case 'flip':
      return body.with(index, body[index]! ^ (1 << (value & 7)));
    case 'cut':
      return body.subarray(0, index);
    case 'insert':
      return Uint8Array.of(...body.subarray(0, index), value, ...body.subarray(index));
    case 'remove':
      return Uint8Array.of(...body.subarray(0, index), ...body.subarray(index + 1));
  }
}

t.test('damaged messages harm nobody but their sender', (t) => {
  const scenario = fc.tuple(
    histories,
    fc.array(fc.tuple(fc.nat(), fc.array(damage, { minLength: 1, maxLength: 3 })), { minLength: 1, maxLength: 8 }),
  );
  const result = fc.check(
    fc.property(scenario, ([{ batches, manners, peers }, damages]) => {
      const rib = new RibHarness(SPEAKER, manners);
      const announced: Announce[] = [];
      const up = new Set<string>();
      for (const operation of batches.flat()) {
        rib.apply(operation);
        if (operation.op === 'establish') up.add(operation.peer.id);
        if (operation.op === 'down') up.delete(operation.peer);
        if (operation.op === 'announce') announced.push(operation);
      }
      for (const [pick, list] of damages) {
        const model = announced[pick % Math.max(announced.length, 1)];
        if (!model || !up.has(model.peer)) continue;
        const others = pathsOfOthers(rib, model.peer);
        const error = rib.receiveRaw(model.peer, (manner: Manner) =>
          list.reduce(damaged, announcement([model], model.attributes, manner)),
        );
        assert.deepEqual(pathsOfOthers(rib, model.peer), others, 'paths of other peers');
        if (error) {
          assert.ok(error instanceof BgpError);
          assert.equal(error.disposition, Disposition.sessionReset);
          assert.equal(error.code, 3, 'UPDATE Message Error');
          up.delete(model.peer);
          rib.apply({ op: 'down', peer: model.peer });
        }
        rib.settle();
        rib.checkCounters();
      }
      // Reads, and so judges, every message.
      for (const { id } of peers) rib.advertised(id);
      rib.checkNothingIsLeft();
    }),
    { numRuns: runs(1000) },
  );
  if (result.failed) {
    const [history, damages] = result.counterexample![0];
    const cause =
      result.errorInstance instanceof Error ? (result.errorInstance.stack ?? '') : String(result.errorInstance);
    throw new Error(
      `seed ${result.seed}: ${JSON.stringify(damages)}\n${JSON.stringify(history.batches.flat())}\n${cause}`,
    );
  }
  t.end();
});

/** Who has which path, the damaged peer apart; best or not, and why, may change. */
function pathsOfOthers(rib: RibHarness, peer: string): string[] {
  return PREFIXES.flatMap((prefix) =>
    rib.verdicts(prefix).flatMap((path) => (path.peer === peer ? [] : [`${prefix} ${path.peer} ${path.pathId}`])),
  ).sort();
}
