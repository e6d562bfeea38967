/** When router advertisements and solicitations are sent, and what comes of those received, on a clock that obeys. */
import type { RouterMessage } from 'netlink';
import t from 'tap';
import { LinkNeighbour, type RouterLink } from '../../src/discovery/link-neighbour.js';
import { FakeClock } from '../fixtures/fake-clock.js';

const NEIGHBOUR = Uint8Array.from({ length: 16 }, (_, i) => [0xfe, 0x80][i] ?? i);

class FakeLink implements RouterLink {
  orphaned = false;
  closed = false;
  canSend = true;
  readonly sent: string[] = [];
  readonly waiting: RouterMessage[] = [];
  solicit(): boolean {
    this.sent.push('solicit');
    return this.canSend;
  }
  advertise(): boolean {
    if (this.canSend) this.sent.push('advertise');
    return this.canSend;
  }
  receive(): RouterMessage | undefined {
    return this.waiting.shift();
  }
  close(): void {
    this.closed = true;
  }
}

function rig() {
  const clock = new FakeClock();
  const links: FakeLink[] = [];
  const heard: Uint8Array[] = [];
  const failures: string[] = [];
  const state = { settled: false, missing: false };
  const neighbour = new LinkNeighbour(
    'eth1',
    clock,
    {
      heard: (address) => void heard.push(address),
      began: () => undefined,
      settled: () => state.settled,
      failed: (text) => void failures.push(text),
    },
    () => {
      if (state.missing) throw new Error('no such device');
      const link = new FakeLink();
      links.push(link);
      return link;
    },
  );
  return { clock, links, heard, failures, state, neighbour };
}

const count = (link: FakeLink, what: string) => link.sent.filter((each) => each === what).length;

t.test('asks and tells at the start, quickly at first, then every ten seconds', async (t) => {
  const { clock, links, neighbour } = rig();
  neighbour.start();
  t.same(links[0]!.sent.slice(0, 2), ['solicit', 'advertise']);
  clock.advance(4500);
  t.equal(count(links[0]!, 'advertise'), 5);
  clock.advance(20_000);
  t.equal(count(links[0]!, 'advertise'), 7);
  neighbour.stop();
  t.ok(links[0]!.closed);
  clock.advance(60_000);
  t.equal(count(links[0]!, 'advertise'), 7, 'and no more when stopped');
});

t.test('tells who is heard; answers who asks', async (t) => {
  const { clock, links, heard, neighbour } = rig();
  neighbour.start();
  clock.advance(10_000);
  const before = count(links[0]!, 'advertise');
  links[0]!.waiting.push({ kind: 'solicitation', from: NEIGHBOUR }, { kind: 'solicitation', from: NEIGHBOUR });
  clock.advance(100);
  t.equal(count(links[0]!, 'advertise'), before + 1, 'one answer for both');
  t.same(heard, [], 'who asks is no router yet');
  links[0]!.waiting.push({ kind: 'advertisement', from: NEIGHBOUR });
  clock.advance(100);
  t.same(heard, [NEIGHBOUR]);
  neighbour.stop();
});

t.test('an interface that is missing, or replaced, or down', async (t) => {
  const { clock, links, failures, state, neighbour } = rig();
  state.missing = true;
  neighbour.start();
  clock.advance(5000);
  t.same(failures, ['no such device'], 'said once');
  state.missing = false;
  clock.advance(1000);
  t.equal(links.length, 1);
  links[0]!.orphaned = true;
  clock.advance(100);
  t.ok(links[0]!.closed);
  t.equal(count(links[1]!, 'solicit') > 0, true, 'asks anew');
  links[1]!.canSend = false;
  const before = count(links[1]!, 'advertise');
  clock.advance(3000);
  links[1]!.canSend = true;
  clock.advance(100);
  t.equal(count(links[1]!, 'advertise'), before + 1, 'as soon as it can be sent');
  neighbour.stop();
});
