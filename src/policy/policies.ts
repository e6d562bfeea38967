/**
 * The policies of one configuration, as the speaker uses them: names in, filters out. Filters are shared by all peers that
 * are alike to a policy. A new configuration is a new `Policies`; the old one is disposed of when nobody uses it.
 */
import type { Family, Prefix } from 'bgp-parse';
import type { ExportFilter } from './export-filter.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { ImportFilter } from '../rib/import-filter.js';
import type { Rib } from '../rib/rib.js';
import { SourceKind } from '../rib/rib-peers.js';
import type { RibPeer } from '../rib/rib-peers.js';
import { AttributeFacts } from './attribute-facts.js';
import { Compiler, flatten } from './compile.js';
import type { CompiledChain } from './compile.js';
import type { Condition, Environment, PolicyPeer } from './condition.js';
import { NODE_PRESET, many } from './definition.js';
import type { OneOrMore, PolicyDefinition, PolicyDefinitions, RouteType } from './definition.js';
import { ExportPolicy } from './export-policy.js';
import { ImportPolicy } from './import-policy.js';
import type { PolicyFailure, PolicyFunction } from './policy-function.js';
import { PrefixClasses } from './prefix-classes.js';
import type { PrefixSet } from './prefix-classes.js';
import { PrefixAt, Program } from './program.js';
import type { TraceStep } from './program.js';
import { Subject } from './subject.js';

export interface PoliciesOptions {
  readonly definitions: PolicyDefinitions;
  readonly ownAs: number;
  /** What this node originates now. */
  readonly ownNetworks: readonly Prefix[];
  readonly functions: { readonly [name: string]: PolicyFunction };
  readonly failed: (failure: PolicyFailure) => void;
}

type EnvironmentCondition = Extract<Condition, { readonly holds: (env: Environment) => boolean }> & {
  readonly kind: 'peer' | 'source' | 'family';
};

/** What becomes of routes in one direction: all, nothing, or what a filter says. */
export type Judgement<Filter> = { readonly accept: boolean; readonly filter: Filter | undefined };

const NOTHING = { accept: false, filter: undefined } as const;
const EVERYTHING = { accept: true, filter: undefined } as const;

/** What a trace ends with. */
export interface Trace {
  readonly steps: readonly TraceStep[];
  readonly accepted: boolean;
  /** Canonical octets after the changes. */
  readonly attributes: Uint8Array;
  readonly nextHop: Subject['nextHop'];
  readonly decidedBy:
    { readonly policy: string; readonly statement: number; readonly name: string | undefined } | undefined;
}

/** `presets` of a direction: the policies that mean another thing on import and on export. */
const PRESETS: Readonly<Record<'import' | 'export', { readonly [name: string]: PolicyDefinition }>> = {
  import: { node: NODE_PRESET.import },
  export: { node: NODE_PRESET.export },
};

export class Policies {
  readonly #compiler: Compiler;
  readonly #rib: Rib | undefined;
  readonly #imports = new Map<string, ImportPolicy>();
  readonly #exports = new Map<string, ExportPolicy>();
  readonly #programs = new Map<string, Program>();
  readonly #chainIds = new Map<CompiledChain, number>();
  readonly #facts: AttributeFacts | undefined;
  /** Programs that ask for the same sets share what is known of prefixes. */
  readonly #classes: { readonly sets: readonly PrefixSet[]; readonly classes: PrefixClasses }[] = [];
  #nextId: number;
  readonly #place = new PrefixAt();
  readonly #subject = new Subject();

  /** `firstId`: ids of export filters count from here on; no two filters of a speaker may share one. */
  constructor(options: PoliciesOptions, rib: Rib | undefined, firstId = 1) {
    this.#compiler = new Compiler(options);
    this.#rib = rib;
    this.#facts = rib && new AttributeFacts(rib.attributes);
    this.#nextId = firstId;
  }

  /** The first id for whoever comes after. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Import of a peer with these policies; `external` decides where none is named (RFC 8212). */
  importFor(names: OneOrMore<string> | undefined, external: boolean, peer: PolicyPeer): Judgement<ImportFilter> {
    const plain = plainJudgement(names, external);
    if (plain) return plain;
    const chain = this.chain('import', many(names));
    const programs = this.#both((family) => this.program(chain, importEnvironment(family, external, peer)));
    const key = programs.map(({ key }) => key).join('|');
    let filter = this.#imports.get(key);
    if (!filter) this.#imports.set(key, (filter = new ImportPolicy(programs, this.#rib!.attributes)));
    return { accept: true, filter };
  }

  /** Export to a peer with these policies. */
  exportFor(names: OneOrMore<string> | undefined, external: boolean, peer: PolicyPeer): Judgement<ExportFilter> {
    const plain = plainJudgement(names, external);
    if (plain) return plain;
    const chain = this.chain('export', many(names));
    const rib = this.#rib!;
    // Peers that the policy cannot tell apart share a filter, and so an update group.
    const key = `${this.#chainId(chain)} ${chain.sees.function ? peer.address.join('.') : peerAnswers(chain, peer)}`;
    let filter = this.#exports.get(key);
    if (!filter) {
      filter = new ExportPolicy({
        id: this.#nextId++,
        rib,
        seesPrefix: chain.sees.prefix || chain.sees.function,
        isUnsure: chain.sees.function,
        ignoresSource: !chain.sees.source && !chain.sees.function,
        programFor: (family: FamilyRib, source: RibPeer) => {
          return this.program(chain, exportEnvironment(family.family, peer, source, rib.peers.kind[source.id]!));
        },
      });
      this.#exports.set(key, filter);
    }
    return { accept: true, filter };
  }

  /** Whether routes are judged by what this node originates: then another network is another verdict. */
  seesOwn(direction: 'import' | 'export', names: OneOrMore<string> | undefined): boolean {
    return plainJudgement(names, false) === undefined && this.chain(direction, many(names)).sees.own;
  }

  /** Runs policies over canonical attributes and tells each step. */
  trace(chain: CompiledChain, env: Environment, prefix: Prefix, attributes: Uint8Array): Trace {
    const program = this.program(chain, env);
    const words = prefix.bytes.length === 4 ? 1 : 4;
    const address = new Uint32Array(words);
    for (let i = 0; i < prefix.bytes.length; i++) {
      address[i >> 2] = address[i >> 2]! | (prefix.bytes[i]! << (24 - (i & 3) * 8));
    }
    const place = this.#place.set(address, 0, words, prefix.length);
    const subject = this.#subject;
    subject.load(attributes, 0, attributes.length, env.family === 'ipv4-unicast' ? 0 : 1);
    const steps: TraceStep[] = [];
    const id = program.classes.classOf(address, 0, words, prefix.length);
    const accepted = program.run(subject, id, place, steps);
    return {
      steps,
      accepted,
      attributes: subject.bytes.slice(subject.start, subject.end),
      nextHop: subject.nextHop,
      decidedBy: program.decidedBy,
    };
  }

  /** What policies leave of a route that this node makes for a peer alone; undefined = they reject it. */
  judgeOwn(
    names: OneOrMore<string>,
    family: Family,
    peer: PolicyPeer,
    prefix: Prefix,
    attributes: Uint8Array,
  ): Pick<Trace, 'attributes' | 'nextHop'> | undefined {
    const plain = plainJudgement(names, false);
    if (plain) return plain.accept ? { attributes, nextHop: 'default' } : undefined;
    const env: Environment = { family, type: 'local', peer, from: undefined };
    const trace = this.trace(this.chain('export', many(names)), env, prefix, attributes);
    return trace.accepted ? trace : undefined;
  }

  /** Throws a `PolicyError` when a name is not known. */
  chain(direction: 'import' | 'export', names: readonly string[]): CompiledChain {
    return this.#compiler.chain(names, PRESETS[direction]);
  }

  /** The program of a chain for an environment; one for all that look alike to it. */
  program(chain: CompiledChain, env: Environment): Program {
    const answers = environmentConditions(chain).map((condition) => (condition.holds(env) ? '1' : '0'));
    const who = chain.sees.function
      ? `${env.peer.address.join('.')} ${env.from?.address.join('.') ?? ''} ${env.type}`
      : '';
    const key = `${this.#chainId(chain)} ${env.family} ${answers.join('')} ${who}`;
    let program = this.#programs.get(key);
    if (!program) {
      program = new Program(key, chain, env, this.#facts, (sets) => this.#classesOf(sets));
      this.#programs.set(key, program);
    }
    return program;
  }

  /** Call when nobody uses a filter of this configuration any more. */
  dispose(): void {
    for (const filter of [...this.#imports.values(), ...this.#exports.values()]) filter.dispose();
    this.#facts?.dispose();
  }

  #classesOf(sets: readonly PrefixSet[]): PrefixClasses {
    const isSame = (others: readonly PrefixSet[]): boolean =>
      others.length === sets.length && others.every((other, i) => other === sets[i]);
    let known = this.#classes.find((one) => isSame(one.sets));
    if (!known) this.#classes.push((known = { sets, classes: new PrefixClasses(sets) }));
    return known.classes;
  }

  #both<T>(make: (family: Family) => T): readonly [T, T] {
    return [make('ipv4-unicast'), make('ipv6-unicast')];
  }

  #chainId(chain: CompiledChain): number {
    let id = this.#chainIds.get(chain);
    if (id === undefined) this.#chainIds.set(chain, (id = this.#chainIds.size));
    return id;
  }
}

/** Without a policy an external peer gets and gives nothing (RFC 8212), an internal one everything. */
function plainJudgement(names: OneOrMore<string> | undefined, external: boolean): Judgement<never> | undefined {
  if (names === undefined) return external ? NOTHING : EVERYTHING;
  const [first] = many(names);
  return first === 'accept' ? EVERYTHING : first === 'reject' ? NOTHING : undefined;
}

/** `rejected by policy from-transit statement 2 (bogons)`. */
export function describeRejection(names: readonly string[], decidedBy: Trace['decidedBy']): string {
  if (!decidedBy) return `rejected by policy ${names.at(-1)}: no statement has accepted it`;
  const { policy, statement, name } = decidedBy;
  const where = statement === 0 ? 'default' : `statement ${statement}`;
  return `rejected by policy ${policy} ${where}${name === undefined ? '' : ` (${name})`}`;
}

/** On import the peer is where the route is from. */
export function importEnvironment(family: Family, external: boolean, peer: PolicyPeer): Environment {
  return { family, type: external ? 'external' : 'internal', peer, from: peer };
}

export function exportEnvironment(family: Family, peer: PolicyPeer, source: RibPeer, kind: number): Environment {
  const type: RouteType = kind === SourceKind.local ? 'local' : kind === SourceKind.external ? 'external' : 'internal';
  const { address, asn, group } = source.session;
  return { family, type, peer, from: type === 'local' ? undefined : { address, asn, group } };
}

function environmentConditions(chain: CompiledChain): EnvironmentCondition[] {
  return chain.steps
    .flatMap(({ conditions }) => flatten(conditions))
    .filter((condition): condition is EnvironmentCondition => {
      return condition.kind === 'peer' || condition.kind === 'source' || condition.kind === 'family';
    });
}

/** What a chain's conditions on the peer say, in one text. */
function peerAnswers(chain: CompiledChain, peer: PolicyPeer): string {
  const env: Environment = { family: 'ipv4-unicast', type: 'local', peer, from: undefined };
  const answers = environmentConditions(chain).map((condition) => condition.kind === 'peer' && condition.holds(env));
  return answers.map(Number).join('');
}
