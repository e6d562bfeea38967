/**
 * The kernel's nexthop objects: one per target and family that routes point at, and one per gateway that groups are
 * made of. Changing an object in place moves all its routes at once; removing it removes them.
 *
 * One owner: ids and protocol are ours (`NexthopIds`), others are only remembered, to know where their routes lead.
 * What a previous run left is taken over by the target that leads to the same place, and removed when nothing uses it.
 * Writes are asked for one by one and answered at once: objects are few.
 */
import type { ResilientGroup } from 'netlink';
import { type Gateway, type Gateways, type Hop, NO_GATEWAY, OBJECT_CODE, OTHER_GATEWAY } from './gateways.js';
import { groupShape, inProportion } from './group-weights.js';
import { type Kernel, KernelOperation, type NexthopMessage } from './kernel.js';
import type { NexthopIds } from './nexthop-ids.js';
import { grown } from './prefix-table.js';
import type { Lead } from './targets.js';

const AF_UNSPEC = 0;
const AF_INET = 2;
const RTNH_F_ONLINK = 4;
const ERRNO = { ENOENT: 2, EEXIST: 17 } as const;

interface NexthopObject {
  readonly index: number;
  readonly id: number;
  /** Whose it is; 0 = left by a previous run or by a target that is gone. */
  target: number;
  /** Of the routes on it; 0 = not known. */
  addressFamily: number;
  /** What it should be; undefined = nobody says. */
  lead: Lead | undefined;
  /** What the kernel has, or had when it last told: gateways with kernel weights. */
  members: readonly Hop[];
  /** 0 = a single nexthop, 1 = a group by hash threshold, otherwise 1 + buckets of a resilient group. */
  readonly kind: number;
  /** Not all members of `lead` could be made. */
  incomplete: boolean;
  /** Routes of others point at it as well: it is not removed while they do. */
  foreign: boolean;
}

/** What groups are made of; not to be confused with the object that routes through the same gateway point at. */
interface Member {
  readonly id: number;
  readonly gateway: number;
  /** Groups it is in. */
  groups: number;
  /** Routes of others point at it as well: it is not removed while they do. */
  foreign: boolean;
}

interface Shape {
  readonly kind: number;
  readonly members: readonly Hop[];
  readonly resilient: ResilientGroup | undefined;
}

export class NexthopObjects {
  /** Routes of ours by object index. */
  users = new Int32Array(64);
  readonly #kernel: Kernel;
  readonly #gateways: Gateways;
  readonly #ids: NexthopIds;
  readonly #resilient: boolean;
  readonly #objects: (NexthopObject | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #byId = new Map<number, NexthopObject>();
  readonly #members = new Map<number, Member>();
  readonly #memberById = new Map<number, Member>();
  readonly #idleMembers = new Set<Member>();
  /** Nobody's objects by what they are. */
  readonly #unclaimed = new Map<string, Set<NexthopObject>>();
  #dead: number[] = [];

  constructor(kernel: Kernel, gateways: Gateways, ids: NexthopIds, resilient: boolean) {
    this.#kernel = kernel;
    this.#gateways = gateways;
    this.#ids = ids;
    this.#resilient = resilient;
  }

  /** What a row holds for a route on this kernel id. */
  codeOfId(id: number): number {
    const object = this.#byId.get(id);
    return object ? codeOf(object) : OTHER_GATEWAY;
  }

  /** Hops of a code that carry traffic, as wanted or as found. */
  hopsOf(code: number): readonly Hop[] {
    const object = this.#objects[code - OBJECT_CODE];
    return object ? (object.lead?.hops ?? object.members) : [];
  }

  kernelId(code: number): number {
    return this.#objects[code - OBJECT_CODE]!.id;
  }

  targetOf(code: number): number {
    return this.#objects[code - OBJECT_CODE]!.target;
  }

  /** No target leads here any more. */
  isDisowned(code: number): boolean {
    return this.#objects[code - OBJECT_CODE]?.target === 0;
  }

  isIncomplete(code: number): boolean {
    return this.#objects[code - OBJECT_CODE]?.incomplete ?? false;
  }

  /** The object for a target, found among what a previous run left, or made; or the kernel's refusal. */
  create(target: number, addressFamily: number, lead: Lead): { code: number; errno: number } {
    const shape = this.#shape(lead);
    let object = this.#claim(keyOf(shape), addressFamily);
    if (!object) {
      const made = this.#add((id) => this.#message(id, shape));
      if (made.errno) {
        this.#dropIdleMembers();
        return { code: NO_GATEWAY, errno: made.errno };
      }
      object = this.#register(made.id, shape.kind);
      this.#setMembers(object, this.#made(shape));
      object.incomplete = object.members.length < shape.members.length;
    }
    object.target = target;
    object.addressFamily = addressFamily;
    object.lead = lead;
    return { code: codeOf(object), errno: 0 };
  }

  /** Leads the routes on an object elsewhere, all at once; or tells the kernel's refusal, and the object is gone. */
  replace(code: number, lead: Lead): number {
    const object = this.#objects[code - OBJECT_CODE]!;
    if (this.#isDead(object)) return ERRNO.ENOENT;
    object.lead = lead;
    const errno = this.#write(object);
    if (errno) this.remove(code);
    return errno;
  }

  /**
   * Takes gateways out of all their groups at once, where these objects are all that have them, none is to keep them and
   * each goes on with others: the gateway's own object goes, one message. The kernel deals the shares out again and,
   * other than for a group that is replaced, says nothing about any route (`nexthop_compat_mode`). What is left to
   * change is `replace`'s.
   */
  leave(wanted: Iterable<readonly [code: number, lead: Lead]>): void {
    const leaving = new Map<number, number>();
    for (const [code, { hops, standby }] of wanted) {
      const object = this.#objects[code - OBJECT_CODE];
      if (!object || object.kind === SINGLE || this.#isDead(object)) continue;
      const stays = ({ gateway }: Hop): boolean => [...hops, ...standby].some((hop) => hop.gateway === gateway);
      if (!object.members.some(stays)) continue;
      for (const hop of object.members) {
        if (!stays(hop)) leaving.set(hop.gateway, (leaving.get(hop.gateway) ?? 0) + 1);
      }
    }
    for (const [gateway, groups] of leaving) {
      const member = this.#members.get(gateway);
      if (!member || member.foreign || member.groups !== groups) continue;
      const errno = this.#kernel.changeNexthop(KernelOperation.remove, plain(member.id));
      // Where a link is down the kernel has been quicker.
      if (errno && errno !== ERRNO.ENOENT) continue;
      for (const object of this.#byId.values()) {
        const rest = object.members.filter((hop) => hop.gateway !== gateway);
        if (object.kind !== SINGLE && rest.length < object.members.length) this.#setMembers(object, rest);
      }
      this.#forgetMember(member);
    }
  }

  /** Removes an object, and with it the routes that point at it. False while routes of others do. */
  remove(code: number): boolean {
    const object = this.#objects[code - OBJECT_CODE]!;
    if (this.#isDead(object)) return true;
    if (object.foreign) return false;
    const errno = this.#kernel.changeNexthop(KernelOperation.remove, plain(object.id));
    if (errno && errno !== ERRNO.ENOENT) return false;
    this.#lost(object);
    this.#dropIdleMembers();
    return true;
  }

  /** Its target is gone; routes may still be on it. */
  disown(code: number): void {
    const object = this.#objects[code - OBJECT_CODE];
    if (!object || object.target === 0) return;
    object.target = 0;
    if (!this.#isDead(object)) this.#offer(object);
  }

  /** Codes of objects that are gone from the kernel, with what pointed at them; to be `release`d. */
  takeDead(): readonly number[] {
    if (this.#dead.length === 0) return NONE;
    const dead = this.#dead;
    this.#dead = [];
    return dead;
  }

  /** Forgets a dead object, once no row holds its code. */
  release(code: number): void {
    const index = code - OBJECT_CODE;
    this.#objects[index] = undefined;
    this.users[index] = 0;
    this.#free.push(index);
  }

  /** Removes what nothing uses. */
  removeIdle(): void {
    for (const object of [...this.#byId.values()]) {
      if (this.users[object.index] === 0 && !object.foreign) this.remove(codeOf(object));
    }
  }

  // What the kernel tells.

  /**
   * All objects in our range there are now. What has gone is dead, what has been changed is put right, what we do not
   * know has been left by a previous run. How many were put right.
   */
  reconcile(found: ReadonlyMap<number, NexthopMessage>): number {
    const changed: NexthopObject[] = [];
    // First what is true, then what is to be done: members are counted by what is true.
    for (const object of [...this.#byId.values()]) {
      const message = found.get(object.id);
      if (!message || this.#kindOf(message) !== object.kind) this.#lost(object);
      else if (this.#learn(object, message)) changed.push(object);
    }
    let repaired = 0;
    for (const member of [...this.#memberById.values()]) {
      const message = found.get(member.id);
      if (!message) this.#forgetMember(member);
      else if (this.#gatewayOf(message) !== member.gateway) repaired += this.#restore(member);
    }
    for (const object of changed) {
      if (object.target === 0) continue;
      const before = object.members;
      if (this.#write(object) !== 0) object.incomplete = true;
      else if (!object.incomplete && object.members !== before) repaired++;
    }
    this.#adopt(found);
    this.#dropIdleMembers();
    return repaired;
  }

  isOurs(nexthop: NexthopMessage): boolean {
    return this.#ids.contains(nexthop.id) && nexthop.protocol === this.#ids.protocol;
  }

  /** Somebody's route points, or pointed, at this id; whether that is an object of ours. */
  usedByOthers(id: number): boolean {
    const object = this.#byId.get(id) ?? this.#memberById.get(id);
    if (object) object.foreign = true;
    return object !== undefined;
  }

  /** Before a whole reading, which tells of all users again. */
  forgetOthers(): void {
    for (const object of this.#byId.values()) object.foreign = false;
    for (const member of this.#memberById.values()) member.foreign = false;
  }

  /** Gateways that must keep their ids. */
  *gatewaysInUse(): Iterable<number> {
    yield* this.#members.keys();
    for (const { members, lead } of this.#byId.values()) {
      for (const { gateway } of members) yield gateway;
      for (const { gateway } of [...(lead?.hops ?? []), ...(lead?.standby ?? [])]) yield gateway;
    }
  }

  /** Whether the kernel's object is not what we had made it. */
  #learn(object: NexthopObject, message: NexthopMessage): boolean {
    const members = this.#membersOf(message);
    if (sameMembers(members, object.members)) return false;
    if (object.target === 0) this.#withdraw(object);
    this.#setMembers(object, members);
    if (object.target === 0) this.#offer(object);
    return true;
  }

  #adopt(found: ReadonlyMap<number, NexthopMessage>): void {
    const unknown = [...found.values()].filter(({ id }) => !this.#byId.has(id) && !this.#memberById.has(id));
    const groups = unknown.filter(({ group }) => group.length > 0);
    const inGroups = new Set(groups.flatMap(({ group }) => group.map(({ id }) => id)));
    for (const message of unknown) {
      if (message.group.length) continue;
      const gateway = this.#gatewayOf(message);
      if (inGroups.has(message.id) && !this.#members.has(gateway) && !message.blackhole) {
        this.#rememberMember({ id: message.id, gateway, groups: 0, foreign: false });
      } else {
        const object = this.#register(message.id, SINGLE);
        object.members = message.blackhole ? [] : [{ gateway, weight: 1 }];
        this.#offer(object);
      }
    }
    for (const message of groups) {
      const object = this.#register(message.id, this.#kindOf(message));
      this.#setMembers(object, this.#membersOf(message));
      this.#offer(object);
    }
  }

  #kindOf({ group, resilient }: NexthopMessage): number {
    return group.length === 0 ? SINGLE : GROUP + (resilient?.buckets ?? 0);
  }

  /** By gateway; what we do not know among them is left out, so that it differs from what we want. */
  #membersOf(message: NexthopMessage): readonly Hop[] {
    if (message.group.length === 0) return [{ gateway: this.#gatewayOf(message), weight: 1 }];
    const hops: Hop[] = [];
    for (const { id, weight } of message.group) {
      const member = this.#memberById.get(id);
      hops.push({ gateway: member?.gateway ?? OTHER_GATEWAY, weight });
    }
    return hops;
  }

  #gatewayOf({ gateway, family, interfaceIndex, flags }: NexthopMessage): number {
    const onlink = (flags & RTNH_F_ONLINK) !== 0;
    return this.#gateways.intern(gateway ? family : 0, gateway ?? NO_OCTETS, interfaceIndex, onlink);
  }

  #register(id: number, kind: number): NexthopObject {
    const index = this.#free.pop() ?? this.#objects.length;
    if (index >= this.users.length) this.users = grown(this.users, index * 2);
    const object: NexthopObject = {
      ...{ index, id, kind, target: 0, addressFamily: 0, lead: undefined },
      ...{ members: [], incomplete: false, foreign: false },
    };
    this.#objects[index] = object;
    this.#byId.set(id, object);
    return object;
  }

  // Nobody's objects.

  #offer(object: NexthopObject): void {
    const key = keyOf(object);
    const same = this.#unclaimed.get(key) ?? new Set();
    this.#unclaimed.set(key, same.add(object));
  }

  /** The one with the most routes: those need no write. */
  #claim(key: string, addressFamily: number): NexthopObject | undefined {
    let best: NexthopObject | undefined;
    for (const object of this.#unclaimed.get(key) ?? []) {
      if (object.addressFamily !== 0 && object.addressFamily !== addressFamily) continue;
      if (!best || this.users[object.index]! > this.users[best.index]!) best = object;
    }
    if (best) this.#withdraw(best);
    return best;
  }

  #withdraw(object: NexthopObject): void {
    const key = keyOf(object);
    const same = this.#unclaimed.get(key);
    if (same?.delete(object) && same.size === 0) this.#unclaimed.delete(key);
  }

  // Writing.

  #shape(lead: Lead): Shape {
    if (lead.width === 0) return { kind: SINGLE, members: lead.hops, resilient: undefined };
    const { members, resilient } = groupShape(lead, this.#resilient);
    return { kind: GROUP + (resilient?.buckets ?? 0), members, resilient };
  }

  /** Makes the kernel's object what its lead says, unless it is; or tells the refusal. */
  #write(object: NexthopObject): number {
    const shape = this.#shape(object.lead!);
    if (sameMembers(object.members, shape.members)) {
      object.incomplete = false;
      return 0;
    }
    const message = this.#message(object.id, shape);
    const errno = typeof message === 'number' ? message : this.#kernel.changeNexthop(KernelOperation.replace, message);
    if (errno === 0) {
      this.#setMembers(object, this.#made(shape));
      object.incomplete = object.members.length < shape.members.length;
    }
    this.#dropIdleMembers();
    return errno;
  }

  /** The message for a shape, its members made where they are missing; a refusal when none of them could be. */
  #message(id: number, shape: Shape): NexthopMessage | number {
    const { protocol } = this.#ids;
    if (shape.kind === SINGLE) return single(id, protocol, this.#gateways.get(shape.members[0]!.gateway)!);
    const group: { id: number; weight: number }[] = [];
    let refusal = 0;
    for (const { gateway, weight } of shape.members) {
      const member = this.#member(gateway);
      if (typeof member === 'number') refusal = member;
      else group.push({ id: member.id, weight });
    }
    return group.length ? { ...plain(id), protocol, group, resilient: shape.resilient } : refusal;
  }

  /** Those members of a shape that the kernel has taken. */
  #made(shape: Shape): readonly Hop[] {
    return shape.kind === SINGLE ? shape.members : shape.members.filter(({ gateway }) => this.#members.has(gateway));
  }

  #member(gateway: number): Member | number {
    const known = this.#members.get(gateway);
    if (known) return known;
    const { id, errno } = this.#add((id) => single(id, this.#ids.protocol, this.#gateways.get(gateway)!));
    return errno || this.#rememberMember({ id, gateway, groups: 0, foreign: false });
  }

  /** Under the next id that nobody has. */
  #add(make: (id: number) => NexthopMessage | number): { id: number; errno: number } {
    for (;;) {
      const id = this.#ids.next();
      if (this.#byId.has(id) || this.#memberById.has(id)) continue;
      const message = make(id);
      if (typeof message === 'number') return { id, errno: message };
      const errno = this.#kernel.changeNexthop(KernelOperation.add, message);
      if (errno !== ERRNO.EEXIST) return { id, errno };
    }
  }

  // Members.

  #rememberMember(member: Member): Member {
    this.#members.set(member.gateway, member);
    this.#memberById.set(member.id, member);
    this.#idleMembers.add(member);
    return member;
  }

  #forgetMember(member: Member): void {
    this.#members.delete(member.gateway);
    this.#memberById.delete(member.id);
    this.#idleMembers.delete(member);
  }

  /** Somebody has led it elsewhere. */
  #restore(member: Member): number {
    const message = single(member.id, this.#ids.protocol, this.#gateways.get(member.gateway)!);
    return this.#kernel.changeNexthop(KernelOperation.replace, message) === 0 ? 1 : 0;
  }

  #setMembers(object: NexthopObject, members: readonly Hop[]): void {
    if (object.kind !== SINGLE) {
      this.#countGroups(members, 1);
      this.#countGroups(object.members, -1);
    }
    object.members = members;
  }

  #countGroups(hops: readonly Hop[], by: number): void {
    for (const { gateway } of hops) {
      const member = this.#members.get(gateway);
      if (!member) continue;
      member.groups += by;
      if (member.groups === 0) this.#idleMembers.add(member);
      else this.#idleMembers.delete(member);
    }
  }

  #dropIdleMembers(): void {
    for (const member of this.#idleMembers) {
      if (member.foreign) continue;
      this.#kernel.changeNexthop(KernelOperation.remove, plain(member.id));
      this.#forgetMember(member);
    }
  }

  /** Gone from the kernel; its routes and its target have not been told yet. */
  #isDead(object: NexthopObject): boolean {
    return this.#byId.get(object.id) !== object;
  }

  #lost(object: NexthopObject): void {
    if (this.#isDead(object)) return;
    if (object.target === 0) this.#withdraw(object);
    this.#byId.delete(object.id);
    this.#setMembers(object, []);
    this.#dead.push(codeOf(object));
  }
}

const SINGLE = 0;
const GROUP = 1;
const NONE: readonly number[] = [];
const NO_OCTETS = new Uint8Array(0);

function codeOf(object: NexthopObject): number {
  return OBJECT_CODE + object.index;
}

/** The same for objects that do the same. */
function keyOf({ kind, members }: { readonly kind: number; readonly members: readonly Hop[] }): string {
  return `${kind} ${inProportion(members)
    .map(({ gateway, weight }) => `${gateway}*${weight}`)
    .sort()
    .join()}`;
}

function sameMembers(a: readonly Hop[], b: readonly Hop[]): boolean {
  return a === b || (a.length === b.length && keyOf({ kind: 0, members: a }) === keyOf({ kind: 0, members: b }));
}

function plain(id: number): NexthopMessage {
  return {
    ...{ id, family: AF_UNSPEC, protocol: 0, scope: 0, flags: 0, interfaceIndex: 0 },
    ...{ gateway: undefined, blackhole: false, group: [] },
  };
}

function single(id: number, protocol: number, gateway: Gateway): NexthopMessage {
  const { family, bytes, interfaceIndex, onlink } = gateway;
  const octets = family === 0 ? undefined : bytes.slice(0, family === AF_INET ? 4 : 16);
  const flags = onlink ? RTNH_F_ONLINK : 0;
  return { ...plain(id), family: family || AF_INET, protocol, flags, interfaceIndex, gateway: octets };
}
