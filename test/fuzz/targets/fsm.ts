/**
 * One session in memory, with a peer and an operator that do anything in any order, on a clock that only moves when
 * told. Whatever happens: nothing throws, `established` and `down` alternate, at most two connections live and at most one is
 * Established; on a single connection the answer to each message is the one of RFC 4271 §6 and §8; and when it is over no
 * connection and no timer is left.
 */
import assert from 'node:assert/strict';
import { parseAddress } from 'bgp-parse';
import { PeerSession } from '../../../src/session/peer-session.js';
import { SessionServer } from '../../../src/session/session-server.js';
import type { SessionState } from '../../../src/session/types.js';
import { silentLog } from '../../../src/support/log.js';
import { FakeClock } from '../../fixtures/fake-clock.js';
import { MemoryNetwork } from '../../fixtures/memory-network.js';
import type { MemoryEnd } from '../../fixtures/memory-network.js';
import { PEER_DEFAULTS, RecordingListener } from '../../fixtures/session-rig.js';
import { ENHANCED_REFRESH, KEEPALIVE, message, open, usualCapabilities } from '../../malformed/fixtures/compose.js';
import { randomMessage } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const EVENTS = 300;
const PEER = '192.0.2.77';
const SESSION = { external: false, fourOctetAs: true, peerAsn: 64512, afis: [1, 2] };
const capabilities = usualCapabilities(64512);
const identifier = [10, 0, 0, 7];
const PEER_ID = 0x0a000007;
/** RFC 4724 §3: no restart, families that forward on. */
const RESTARTING = [64, 6, 0, 30, 0, 1, 1, 0x80];

/** What a single connection must do with a whole message: a NOTIFICATION, 'close' without one, or 'live'. */
export function answer(
  state: SessionState,
  bytes: Uint8Array,
  openIsGood: boolean | undefined,
  enhanced: boolean,
): string {
  for (let i = 0; i < 16; i++) if (bytes[i] !== 0xff) return '1/1';
  const length = (bytes[16]! << 8) | bytes[17]!;
  const type = bytes[18]!;
  const least = [0, 29, 23, 21, 19, 19][type];
  if (least === undefined || least === 0) return length < 19 || length > 4096 ? '1/2' : '1/3';
  if (length < least || length > 4096 || (type === 4 && length !== 19)) return '1/2';
  const unexpected = `5/${{ OpenSent: 1, OpenConfirm: 2, Established: 3 }[state as 'OpenSent']}`;
  switch (type) {
    case 1:
      if (state !== 'OpenSent') return unexpected;
      return openIsGood === undefined ? 'any' : openIsGood ? 'live' : '2/';
    case 2:
      return state === 'Established' ? 'any' : unexpected;
    case 3:
      return 'close';
    case 4:
      return state === 'OpenSent' ? unexpected : 'live';
    default: {
      if (state !== 'Established') return unexpected;
      // RFC 7313: where it was agreed on; else the octet says nothing.
      const marker = enhanced && (bytes[21] === 1 || bytes[21] === 2);
      return length < 23 || (marker && length !== 23) ? '7/1' : 'live';
    }
  }
}

export const fsm: Target = {
  name: 'fsm',
  async episode(seed) {
    const random = new Random(seed);
    const network = MemoryNetwork.install();
    const clock = new FakeClock({ alone: true });
    const server = new SessionServer({ listen: [], port: 0 }, { clock, log: silentLog });
    const listener = new RecordingListener();
    const graceful = random.chance(50);
    const enhanced = random.chance(50);
    const routerId = random.chance(50) ? 1 : 0xffffffff;
    const offer = [...usualCapabilities(64512), ...(graceful ? [RESTARTING] : []), ...(enhanced ? [[...ENHANCED_REFRESH]] : [])]; // prettier-ignore
    const session = new PeerSession(
      {
        peer: {
          ...PEER_DEFAULTS,
          asn: random.pick([64512, 'internal'] as const),
          passive: random.chance(20),
          holdTimeSeconds: random.pick([0, 3, 90]),
          keepaliveTimeSeconds: 1,
          gracefulRestart: graceful ? { ...PEER_DEFAULTS.gracefulRestart, restartTimeSeconds: 30 } : undefined,
          extendedMessages: false,
        },
        address: parseAddress(PEER)!,
        localAsn: 64512,
        routerId,
        restarting: () => false,
        dynamic: false,
      },
      listener,
      { clock, log: silentLog, random: () => random.below(1000) / 1000, server, receiveBuffer: new Uint8Array(0) },
    );
    network.sessions.set(PEER, session);
    const script: string[] = [];
    const ends = new Set<MemoryEnd>();
    let messages = 0;
    /** Over them: the session has said OPEN; then a good one has come to it; something else than that and KEEPALIVE. */
    const [greeted, opened, spoilt] = [new WeakSet<MemoryEnd>(), new WeakSet<MemoryEnd>(), new WeakSet<MemoryEnd>()];
    const listen = (end: MemoryEnd): Uint8Array[] => {
      const heard = end.take();
      if (heard.some((bytes) => bytes[18] === 1)) greeted.add(end);
      return heard;
    };
    const openEnds = (): MemoryEnd[] => {
      const dialled = network.dialled(PEER);
      if (dialled) ends.add(dialled);
      for (const end of ends) if (end.closed) ends.delete(end);
      return [...ends];
    };
    const connect = (): void => {
      const waits = session.state === 'Active' && !session.stopped;
      const incoming = session.stopped ? undefined : network.connect(PEER);
      if (waits) assert.ok(incoming, 'a connection was refused in Active');
      if (incoming) ends.add(incoming);
    };
    const check = (): void => {
      const told = listener.events.filter((event) => event === 'established' || event === 'down');
      told.forEach((event, i) => assert.equal(event, i % 2 === 0 ? 'established' : 'down', 'they alternate'));
      const isUp = told.length % 2 === 1;
      assert.equal(session.established, isUp, 'established and not told, or the reverse');
      assert.equal(session.state === 'Established', isUp);
      assert.equal(session.negotiated !== undefined, isUp);
      assert.ok(openEnds().length <= 3, `${openEnds().length} connections`);
      if (isUp) assert.ok(openEnds().length >= 1, 'established on nothing');
      if (session.stopped) assert.equal(session.state, 'Idle');
    };
    /** On the only connection there is: the answer must be the one of the RFC. */
    const say = (end: MemoryEnd, bytes: Uint8Array, openIsGood?: boolean): void => {
      for (const one of openEnds()) listen(one);
      const collides = openIsGood === true && collision(end);
      if (openIsGood === true && greeted.has(end)) opened.add(end);
      else if (bytes !== KEEPALIVE) spoilt.add(end);
      sayAlone(end, bytes, openIsGood);
      if (!collides) return;
      // RFC 4271 §6.8: the connection stays that was opened by the higher identifier.
      const loser = routerId > PEER_ID ? collides.theirs : collides.ours;
      assert.equal(loser.closed, true, 'a collision has no loser');
      assert.equal(
        (loser === collides.ours ? collides.theirs : collides.ours).closed,
        false,
        'a collision has no winner',
      );
    };
    /** With a good OPEN on `end` two connections are known to be of one peer: the one we dialled and theirs. */
    const collision = (end: MemoryEnd): { ours: MemoryEnd; theirs: MemoryEnd } | undefined => {
      const all = openEnds();
      const ours = network.dialled(PEER);
      const theirs = all.find((one) => one !== ours);
      if (all.length !== 2 || !ours || !theirs || !all.includes(ours) || session.established) return undefined;
      const other = end === ours ? theirs : ours;
      if (!greeted.has(end) || opened.has(end) || !opened.has(other) || all.some((one) => spoilt.has(one)))
        return undefined;
      return { ours, theirs };
    };
    const sayAlone = (end: MemoryEnd, bytes: Uint8Array, openIsGood?: boolean): void => {
      const alone = openEnds().length === 1 && session.state !== 'Connect' && session.state !== 'Active';
      const before = session.state;
      end.take();
      end.send(bytes);
      messages++;
      if (!alone || before === 'Idle') return;
      const wanted = answer(before, bytes, openIsGood, enhanced);
      const sent = end.take().filter((heard) => heard[18] === 3);
      const got =
        sent.length > 0 ? sent.map((heard) => `${heard[19]}/${heard[20]}`).join() : end.closed ? 'close' : 'live';
      if (wanted === 'any') assert.ok(!end.closed || sent.length === 1);
      else assert.ok(wanted === '2/' ? /^2\/\d+$/.test(got) : got === wanted, `${before}: ${got}, not ${wanted}`);
    };
    const step = (): void => {
      const all = openEnds();
      const end = all.length > 0 ? random.pick(all) : undefined;
      const roll = random.below(100);
      const holdTime = random.pick([0, 3, 90]);
      const good = open({ identifier, holdTime, capabilities: offer });
      if (!end && roll < 60) {
        // Most of the time somebody wants a session.
        script.push('revive');
        network.answers = () => true;
        if (session.stopped) session.start();
        else if (session.passive || roll < 10) connect();
        else clock.advance(random.pick([300, 2000, 70_000]));
      } else if (roll < 25 && end) {
        script.push('open keepalive');
        if (session.state === 'OpenSent') say(end, good, true);
        if (!end.closed) say(end, KEEPALIVE);
      } else if (roll < 33 && end) {
        script.push('open');
        say(end, good, true);
      } else if (roll < 38 && end) {
        script.push('bad open');
        say(end, open({ identifier, holdTime: 1, capabilities }), false);
      } else if (roll < 46 && end) {
        script.push('keepalive');
        say(end, KEEPALIVE);
      } else if (roll < 62 && end) {
        const bytes = randomMessage(random, SESSION, { damage: 30 });
        script.push(Buffer.from(bytes.subarray(16, 60)).toString('hex'));
        // Whole messages only: a length that lies leaves the next one hanging.
        if (((bytes[16]! << 8) | bytes[17]!) === bytes.length || bytes[0] !== 0xff) say(end, bytes);
      } else if (roll < 66 && end) {
        script.push('notification');
        say(end, message(3, [6, random.below(12)]));
      } else if (roll < 70 && end) {
        script.push('drop');
        end.drop();
      } else if (roll < 78) {
        script.push('connect');
        connect();
      } else if (roll < 80) {
        script.push('deaf');
        network.answers = () => false;
      } else if (roll < 84) {
        script.push('answering');
        network.answers = () => true;
      } else if (roll < 92) {
        const ms = random.pick([10, 250, 700, 3500, 20_000, 100_000]);
        // A jump is what a machine that was suspended sees: all that fell due runs once, late.
        const jumps = random.chance(25);
        script.push(`${jumps ? 'jump' : 'wait'} ${ms}`);
        const holdMs = (session.negotiated?.holdTimeSeconds ?? 0) * 1000;
        const downs = listener.events.filter((event) => event === 'down').length;
        for (const one of all) listen(one);
        if (jumps) clock.jump(ms);
        else clock.advance(ms);
        // RFC 4271 §6.5: nothing has come for the hold time. Sooner it has not ended, and has told that it lives.
        const hasEnded = listener.events.filter((event) => event === 'down').length > downs;
        if (holdMs > 0 && !jumps && ms > holdMs + 1000) assert.ok(hasEnded, 'a silent peer was not noticed');
        if (holdMs > 0 && !jumps && ms >= 2000 && !hasEnded)
          assert.ok(
            all.some((one) => one.take().some((heard) => heard[18] === 4)),
            'no KEEPALIVE',
          );
        if (holdMs === 0 && !jumps && session.established) assert.ok(!hasEnded, 'ended without a reason');
      } else if (roll < 94) {
        script.push('stop');
        void session.stop(random.below(12), 'because');
      } else if (roll < 98) {
        script.push('start');
        session.start();
      } else {
        script.push('reset');
        session.reset('because');
      }
      clock.runAllSoon();
    };
    try {
      session.start();
      for (let i = 0; i < EVENTS; i++) {
        step();
        check();
      }
      const over = session.dispose();
      clock.advance(5000);
      await over;
      check();
      assert.equal(session.state, 'Idle');
      assert.equal(openEnds().length, 0, 'connections left');
      assert.equal(clock.pending, 0, 'timers left');
    } catch (error) {
      throw new FuzzFailure('fsm', script.join(', '), error);
    }
    return messages;
  },
};
