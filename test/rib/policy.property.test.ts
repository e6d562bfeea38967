/**
 * Random histories with policies that change in the middle: in the end everything is as if the last ones had been there
 * from the beginning, what each path has become is what policy says of it when asked anew, and nothing is left over.
 */
import assert from 'node:assert/strict';
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { parsePrefix } from 'bgp-parse';
import { LOOP_FLAGS } from '../../src/rib/columns/attribute-pool.js';
import { PathFlag } from '../../src/rib/columns/path-table.js';
import { Policies, importEnvironment } from '../../src/policy/policies.js';
import type { PolicyDefinitions } from '../../src/policy/definition.js';
import type { PolicyPeer } from '../../src/policy/condition.js';
import { parseAddress } from 'bgp-parse';
import type { Peer } from '../model/attributes.js';
import type { Verdict } from '../model/operations.js';
import { definitions } from '../policy/fixtures/arbitrary.js';
import { describe } from './fixtures/check-property.js';
import { RibHarness } from './fixtures/harness.js';
import type { Policing } from './fixtures/harness.js';
import { PREFIXES, SPEAKER, histories } from './fixtures/histories.js';

const GROUPS = ['upstreams', 'customers', undefined];
const CHAIN = ['first', 'second'];

const sorted = (verdicts: Verdict[]): Verdict[] =>
  verdicts.sort((a, b) => String(a.peer).localeCompare(String(b.peer)) || a.pathId - b.pathId);

function policyPeer(peer: Peer): PolicyPeer {
  return { address: parseAddress(peer.address)!, asn: peer.asn, group: GROUPS[peer.id.length % 3] };
}

class Policed {
  readonly harness: RibHarness;
  policies: Policies | undefined;

  constructor(manners: ConstructorParameters<typeof RibHarness>[1], sliced = false) {
    this.harness = new RibHarness(SPEAKER, manners, sliced);
  }

  take(all: PolicyDefinitions): void {
    const before = this.policies;
    const policies = new Policies(
      {
        definitions: all,
        ownAs: SPEAKER.asn,
        ownNetworks: [parsePrefix('10.0.0.0/16')!],
        functions: {},
        failed: (failure) => assert.fail(String(failure.error)),
      },
      this.harness.pipeline.rib,
      before?.nextId ?? 1,
    );
    this.policies = policies;
    const policing: Policing = (peer) => ({
      importFilter: policies.importFor(CHAIN, peer.type === 'external', policyPeer(peer)).filter,
      exportFilter: policies.exportFor(CHAIN, peer.type === 'external', policyPeer(peer)).filter,
    });
    this.harness.repolice(policing);
    this.harness.pipeline.afterPolicies(() => before?.dispose());
  }

  /** Every path is what policy makes of it without any memo. */
  checkPaths(peers: readonly Peer[]): number {
    const { rib } = this.harness.pipeline;
    const pool = rib.attributes;
    let policed = 0;
    for (const family of rib.families) {
      const { prefixes, paths } = family;
      for (let id = 1; id < prefixes.end; id++) {
        for (let path = prefixes.isFree(id) ? 0 : prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
          if (paths.peer[path] === 0) continue;
          const { address, external } = rib.peers.get(paths.peer[path]!)!.session;
          const peer = peers.find((one) => parseAddress(one.address)!.join() === address.join())!;
          const received = paths.receivedOf(path);
          const start = pool.start(received);
          const trace = this.policies!.trace(
            this.policies!.chain('import', CHAIN),
            importEnvironment(family.family, external, policyPeer(peer)),
            { bytes: family.addressBytes(id), length: prefixes.length[id]! },
            pool.bytes(received).slice(start, start + pool.length(received)),
          );
          assert.equal((paths.flags[path]! & PathFlag.rejected) === 0, trace.accepted);
          if (!trace.accepted || (pool.flags[received]! & LOOP_FLAGS) !== 0) {
            assert.equal(paths.attribute[path], received);
            continue;
          }
          const used = paths.attribute[path]!;
          const at = pool.start(used);
          assert.deepEqual(pool.bytes(used).slice(at, at + pool.length(used)), trace.attributes);
          if (used !== received) policed++;
        }
      }
    }
    return policed;
  }
}

t.test('a change in the middle is as good as from the beginning', (t) => {
  let policed = 0;
  let interrupted = 0;
  let counted = 0;
  const cases = [histories, fc.array(definitions, { minLength: 1, maxLength: 3 }), fc.boolean()] as const;
  const property = fc.property(...cases, (history, all, sliced) => {
    const { batches, peers, manners, stalled } = history;
    const changing = new Policed(manners, sliced);
    const constant = new Policed(manners);
    constant.take(all.at(-1)!);
    for (const [i, batch] of batches.entries()) {
      // The last batch is over when the last policies come.
      if (i === batches.length - 1) changing.harness.applyAll(batch);
      changing.take(i === batches.length - 1 ? all.at(-1)! : all[i % all.length]!);
      if (i < batches.length - 1 && !sliced) changing.harness.applyAll(batch);
      if (i < batches.length - 1 && sliced) {
        // What happens meanwhile: the rest of the batch, and yet other policies.
        for (const [k, operation] of batch.entries()) {
          changing.harness.turn();
          counted += changing.harness.checkAdvertisedCounts();
          const { rib, exporter } = changing.harness.pipeline;
          if (rib.isJudging || exporter.isComparing) interrupted++;
          changing.harness.apply(operation);
          if (k % 3 === 1) changing.take(all[(i + k) % all.length]!);
        }
      }
      constant.harness.applyAll(batch);
      for (const { harness } of [changing, constant]) {
        harness.stall(stalled[i]!);
        counted += harness.checkAdvertisedCounts();
        harness.turn();
        counted += harness.checkAdvertisedCounts();
        harness.settle();
        harness.checkCounters();
        harness.checkAdvertisedCounts();
      }
    }
    if (batches.length === 0) changing.take(all.at(-1)!);
    for (const { harness } of [changing, constant]) harness.stall(new Set());
    for (const { id } of peers) {
      const expected = constant.harness.advertised(id);
      assert.deepEqual(changing.harness.advertised(id), expected, `advertised to ${id}`);
      assert.deepEqual(changing.harness.claimed(id), expected, `said to be advertised to ${id}`);
    }
    for (const prefix of PREFIXES) {
      assert.deepEqual(sorted(changing.harness.verdicts(prefix)), sorted(constant.harness.verdicts(prefix)));
    }
    assert.deepEqual(changing.harness.fib(), constant.harness.fib());
    policed += changing.checkPaths(peers) + constant.checkPaths(peers);
    for (const one of [changing, constant]) {
      one.policies!.dispose();
      one.harness.checkNothingIsLeft();
    }
  });
  const result = fc.check(property, { numRuns: runs(250) });
  if (result.failed) {
    const [history, all, sliced] = result.counterexample!;
    throw new Error(
      `seed ${result.seed}: ${describe(history)}\n${JSON.stringify(all)}\nin slices: ${sliced}\n${String(result.errorInstance)}`,
      {
        cause: result.errorInstance,
      },
    );
  }
  t.ok(policed > 0, `${policed} paths with attributes made by policy`);
  t.ok(interrupted > 0, `${interrupted} operations while policies were being applied`);
  t.ok(counted > 0, `${counted} counts of what is told, kept from batch to batch`);
  t.end();
});
