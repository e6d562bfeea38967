/** Route changes on their way to the kernel: what each was for, and the kernel's verdict, by position. */
// HOT: one entry per route and change.
import type { RouteHop } from 'netlink';
import type { FamilyTable } from './family-table.js';
import { BLACKHOLE_GATEWAY, type Gateways, NO_GATEWAY, OBJECT_CODE } from './gateways.js';
import { type Kernel, KernelOperation, type RouteMessage } from './kernel.js';
import type { NexthopObjects } from './nexthop-objects.js';
import { type PreferredSource, preferredSource } from './preferred-source.js';

const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const CAPACITY = 1024;
const NO_HOPS: readonly RouteHop[] = [];

export interface RouteIdentity {
  readonly table: number;
  readonly protocol: number;
  readonly prefSrc?: PreferredSource | undefined;
  metric(addressFamily: number): number;
}

export class RouteBatch {
  /** Table index and row; row -1 = the verdict does not matter. */
  readonly table = new Uint8Array(CAPACITY + 1);
  readonly row = new Int32Array(CAPACITY + 1);
  /** As `decide` gave it. */
  readonly decision = new Uint32Array(CAPACITY + 1);
  /** What the row holds when the kernel agrees. */
  readonly code = new Uint32Array(CAPACITY + 1);
  readonly errno = new Uint16Array(CAPACITY + 1);
  count = 0;
  readonly #identity: RouteIdentity;
  readonly #kernel: Kernel;
  readonly #gateways: Gateways;
  readonly #objects: NexthopObjects;
  readonly #message: RouteMessage;
  /** What the scratch message is filled for, but for the prefix; no table = nothing. */
  #filledTable: FamilyTable | undefined;
  #filledFor: KernelOperation = KernelOperation.add;
  #filledCode = NO_GATEWAY;
  #hopsCode = NO_GATEWAY;
  #hops = NO_HOPS;

  /** `message` is a scratch route to fill for the kernel. */
  constructor(
    identity: RouteIdentity,
    kernel: Kernel,
    gateways: Gateways,
    objects: NexthopObjects,
    message: RouteMessage,
  ) {
    this.#identity = identity;
    this.#kernel = kernel;
    this.#gateways = gateways;
    this.#objects = objects;
    this.#message = message;
  }

  /** A row may take two positions, so full is one early. */
  get isFull(): boolean {
    return this.count >= CAPACITY;
  }

  /** Removes whatever there is of ours; its verdict does not matter. */
  addRemoval(table: FamilyTable, row: number): void {
    this.#queue(KernelOperation.remove, table, row, NO_GATEWAY);
    this.row[this.count++] = -1;
  }

  add(
    operation: KernelOperation,
    index: number,
    table: FamilyTable,
    row: number,
    decision: number,
    code: number,
  ): void {
    this.#queue(operation, table, row, code);
    const position = this.count++;
    this.table[position] = index;
    this.row[position] = row;
    this.decision[position] = decision;
    this.code[position] = operation === KernelOperation.remove ? NO_GATEWAY : code;
  }

  /** Carries it out; 'overrun' = some refusals are not known. `clear` when the verdicts have been read. */
  commit(): 'done' | 'overrun' {
    const { errno } = this;
    errno.fill(0, 0, this.count);
    return this.#kernel.commit((position, refusal) => {
      errno[position] = refusal;
    });
  }

  clear(): void {
    this.count = 0;
    // What a code stands for may be another until the next batch.
    this.#filledTable = undefined;
  }

  /** Most routes of a batch lead where the one before does: then only the prefix is filled in. */
  #queue(operation: KernelOperation, table: FamilyTable, row: number, code: number): void {
    const message = this.#message;
    if (code !== this.#filledCode || operation !== this.#filledFor || table !== this.#filledTable) {
      this.#fill(message, operation, table, code);
    }
    message.dstLength = table.rows.length[row]!;
    table.storeAddress(row, message.dst);
    this.#kernel.queue(operation, message);
  }

  #fill(message: RouteMessage, operation: KernelOperation, table: FamilyTable, code: number): void {
    message.clear();
    this.#filledCode = code;
    this.#filledFor = operation;
    this.#filledTable = table;
    message.family = table.addressFamily;
    message.table = this.#identity.table;
    message.protocol = this.#identity.protocol;
    message.priority = this.#identity.metric(table.addressFamily);
    if (operation === KernelOperation.remove) message.scope = RT_SCOPE_NOWHERE;
    else this.#lead(message, code);
  }

  #lead(message: RouteMessage, code: number): void {
    message.type = code === BLACKHOLE_GATEWAY ? RTN_BLACKHOLE : RTN_UNICAST;
    if (code === BLACKHOLE_GATEWAY) return;
    const source = this.#identity.prefSrc && preferredSource(this.#identity.prefSrc, message.family);
    if (source) {
      message.prefSrc.set(source);
      message.prefSrcLength = source.length;
    }
    if (code >= OBJECT_CODE) {
      message.nexthopId = this.#objects.kernelId(code);
      return;
    }
    const gateway = this.#gateways.get(code);
    if (!gateway) {
      message.hops = this.#hopsOf(code);
      return;
    }
    message.flags = gateway.onlink ? RTNH_F_ONLINK : 0;
    message.gatewayFamily = gateway.family;
    message.gateway.set(gateway.bytes);
    message.interfaceIndex = gateway.interfaceIndex;
  }

  /** Classic multipath; routes of one set come in runs. */
  #hopsOf(code: number): readonly RouteHop[] {
    if (code === this.#hopsCode) return this.#hops;
    this.#hopsCode = code;
    this.#hops = this.#gateways.hopsOf(code).map(({ gateway, weight }) => {
      const { family, bytes, interfaceIndex, onlink } = this.#gateways.get(gateway)!;
      return { interfaceIndex, gatewayFamily: family, gateway: bytes, weight, flags: onlink ? RTNH_F_ONLINK : 0 };
    });
    return this.#hops;
  }
}
