/** `show peer` and `show summary`: every value with its name. */
import type { PeerBfdDto, PeerDto, SummaryDto } from '../../control/dto.js';
import { formatBytes, formatDuration } from './text.js';

type Pair = readonly [string, string];

const seconds = (value: number | null): string => (value === null ? '-' : `${value} s`);

export function peerPairs(peer: PeerDto): Pair[] {
  const up = peer.uptimeSeconds === null ? '' : ` for ${formatDuration(peer.uptimeSeconds)}`;
  const kind = [peer.type, peer.dynamic ? 'dynamic' : undefined].filter(Boolean).join(', ');
  const pairs: Pair[] = [
    ['Peer', peer.address],
    ['State', peer.state + up],
    ['AS', `${peer.asn ?? '-'}${kind === '' ? '' : ` (${kind})`}`],
  ];
  if (peer.description !== null) pairs.push(['Description', peer.description]);
  if (peer.group !== null) pairs.push(['Group', peer.group]);
  if (peer.lastError !== null) pairs.push(['Last error', peer.lastError]);
  for (const note of peer.notes) pairs.push(['Note', note]);
  pairs.push(
    ['Router id', peer.routerId ?? '-'],
    ['Local address', peer.localAddress ?? '-'],
    ['Families', peer.families.join(', ') || '-'],
    ['Capabilities', peer.capabilities.join(', ') || '-'],
    ['Hold time', `${seconds(peer.holdTimeSeconds)}, keepalive ${seconds(peer.keepaliveTimeSeconds)}`],
    ['Import', peer.import],
    ['Export', peer.export],
    ['Prefixes', `${peer.received} received, ${peer.accepted} accepted, ${peer.advertised} advertised`],
    ['Messages', `${peer.messagesIn} in, ${peer.messagesOut} out`],
    ['Updates', `${peer.updatesIn} in, ${peer.updatesOut} out, ${peer.malformedUpdates} malformed`],
    ['Sessions', `${peer.sessionsEstablished} established so far`],
    ...(peer.bfd ? bfdPairs(peer.bfd) : []),
    ['Send backlog', formatBytes(peer.sendBacklogBytes)],
  );
  return pairs;
}

const milliseconds = (value: number | null): string => (value === null ? '-' : `${value} ms`);

function bfdPairs(bfd: PeerBfdDto): Pair[] {
  const up = bfd.upSeconds === null ? '' : ` for ${formatDuration(bfd.upSeconds)}`;
  const remote = bfd.remoteState === null ? 'nothing heard of the peer' : `the peer's is ${bfd.remoteState}`;
  const theirs =
    bfd.remoteMultiplier === null
      ? 'not known'
      : `sends every ${milliseconds(bfd.remoteMinTxMs)}, takes every ${milliseconds(bfd.remoteMinRxMs)}, multiplier ${bfd.remoteMultiplier}`;
  const why = bfd.diagnostic === 'none' ? '' : ` (${bfd.diagnostic})`;
  const lost = bfd.flaps === 0 ? '' : `, last: ${bfd.lastDown ?? bfd.diagnostic}`;
  return [
    ['BFD', `${bfd.state}${up}${why}, ${remote}${bfd.multihop ? ', multihop' : ''}`],
    ...(bfd.error === null ? [] : [['BFD error', bfd.error] as const]),
    ['BFD timers', `sends every ${milliseconds(bfd.intervalMs)}, detects in ${milliseconds(bfd.detectionMs)}`],
    ['BFD peer', theirs],
    ['BFD packets', `${bfd.packetsIn} in, ${bfd.packetsOut} out, ${bfd.packetsDiscarded} discarded`],
    ['BFD flaps', `${bfd.flaps}${lost}`],
  ];
}

function kernelText({ installed, pending, failed, repaired }: SummaryDto['fib']): string {
  return `${installed} installed, ${pending} pending, ${failed} failed; ${repaired} repairs`;
}

const REFUSED: Readonly<Record<keyof SummaryDto['connections']['refused'], string>> = {
  unknown: 'no peer',
  listenRange: 'listen range full',
  pending: 'too many pending',
  guard: 'TTL or key',
};

/** Nothing where nothing was refused. */
function connectionPairs({ connections, tcpMd5 }: SummaryDto): Pair[] {
  const pairs: Pair[] = [];
  const refused = (Object.keys(REFUSED) as (keyof typeof REFUSED)[])
    .filter((reason) => connections.refused[reason] > 0)
    .map((reason) => `${connections.refused[reason]} (${REFUSED[reason]})`);
  if (refused.length > 0) pairs.push(['Refused', refused.join(', ')]);
  if (connections.pending > 0) pairs.push(['Pending', `${connections.pending} dynamic peers`]);
  if (tcpMd5 && tcpMd5.wrong + tcpMd5.unsigned + tcpMd5.unexpected > 0) {
    const { wrong, unsigned, unexpected } = tcpMd5;
    pairs.push(['TCP MD5', `dropped: ${wrong} wrong, ${unsigned} unsigned, ${unexpected} unexpected`]);
  }
  return pairs;
}

export function summaryPairs(summary: SummaryDto): Pair[] {
  const { peers, fib } = summary;
  const pairs: Pair[] = [
    ['Version', summary.version],
    ['AS', String(summary.asn)],
    ['Router id', summary.routerId],
    ['Up', formatDuration(summary.uptimeSeconds)],
    ['Peers', `${peers.established} established, ${peers.configured} configured, ${peers.dynamic} dynamic`],
  ];
  if (summary.clusterId !== null) pairs.splice(3, 0, ['Cluster id', summary.clusterId]);
  for (const { family, prefixes, paths, best } of summary.families) {
    pairs.push([family, `${prefixes} prefixes, ${paths} paths, ${best} best`]);
  }
  pairs.push(
    ['Attribute sets', String(summary.attributeSets)],
    ['Kernel', fib.enabled ? kernelText(fib) : 'off'],
    ['Memory', formatBytes(summary.memoryBytes)],
  );
  pairs.push(...connectionPairs(summary));
  const { masquerade } = summary;
  if (masquerade) {
    const { pools, repaired, error } = masquerade;
    pairs.push(['Masquerading', `${pools.join(', ')}${error === null ? '' : `: ${error}`}; ${repaired} repairs`]);
  }
  const delay = summary.loopDelayMs;
  if (delay) {
    const { p50, p99, p999, max } = delay;
    pairs.push(['Loop delay', `p50 ${p50} ms, p99 ${p99} ms, p99.9 ${p999} ms, max ${max} ms`]);
  }
  for (const warning of summary.warnings) pairs.push(['Warning', warning]);
  return pairs;
}
