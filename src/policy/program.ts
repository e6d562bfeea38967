// HOT: once per attribute set, and per route where prefixes are looked at. Guarded by bench S1, S4.
/**
 * A compiled chain for given peers: what depends on them is decided here, once, and gone from the conditions. What is
 * left asks attributes, or prefixes; the answers of all prefix conditions of a route are one number (`classOf`), so that
 * a verdict is a function of attribute set and class, and can be memoised by them.
 */
import { flatten } from './compile.js';
import type { CompiledChain, Step } from './compile.js';
import type { Condition, Environment } from './condition.js';
import type { Edit } from './edit.js';
import { readVerdict, viewPeer, viewRoute } from './policy-function.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { PrefixTable } from '../rib/columns/prefix-table.js';
import type { PrefixSet } from './prefix-set.js';
import type { Subject } from './subject.js';

/** More prefix conditions than these make a chain that is not memoised. */
const MOST_SETS = 30;

/** Where a prefix stands: 32-bit words of an address from `at` on. Reused. */
export class PrefixAt {
  address: Uint32Array = new Uint32Array(4);
  at = 0;
  words: 1 | 4 = 1;
  length = 0;

  set(address: Uint32Array, at: number, words: 1 | 4, length: number): this {
    this.address = address;
    this.at = at;
    this.words = words;
    this.length = length;
    return this;
  }

  octets(): Uint8Array {
    const out = new Uint8Array(this.words * 4);
    for (let i = 0; i < out.length; i++) out[i] = this.address[this.at + (i >> 2)]! >>> (24 - (i & 3) * 8);
    return out;
  }
}

type Test =
  | { readonly kind: 'attribute'; readonly text: string; readonly holds: (subject: Subject) => boolean }
  | { readonly kind: 'prefix'; readonly text: string; readonly index: number }
  | { readonly kind: 'constant'; readonly text: string; readonly value: boolean }
  | { readonly kind: 'not'; readonly text: string; readonly all: readonly Test[] };

interface Instruction {
  readonly step: Step;
  readonly tests: readonly Test[];
  readonly edit: Edit | undefined;
  readonly otherwise: number;
}

/** One step of a run, for people. */
export interface TraceStep {
  readonly policy: string;
  readonly statement: number;
  readonly name: string | null;
  readonly matched: boolean;
  /** The condition that did not hold. */
  readonly failed: string | null;
  readonly set: string | null;
  readonly call: string | null;
  readonly then: 'accept' | 'reject' | 'next' | null;
}

export class Program {
  readonly key: string;
  readonly chain: CompiledChain;
  /** Its verdicts may be different for different prefixes with equal attributes. */
  readonly seesPrefix: boolean;
  /** Neither by class nor at all. */
  readonly isMemoisable: boolean;
  /** Step that has decided the last run; undefined = none has. */
  decidedBy: Step | undefined;
  readonly #env: Environment;
  readonly #instructions: readonly Instruction[];
  readonly #sets: readonly PrefixSet[];
  /** By prefix id: the class and one more, 0 = not known (or too large a number). 1 octet a prefix. */
  #classes = new Uint8Array(0);
  #generation = -1;

  /** `key`: of equal programs. */
  constructor(key: string, chain: CompiledChain, env: Environment) {
    this.key = key;
    this.chain = chain;
    this.#env = env;
    const sets: PrefixSet[] = [];
    const bind = (condition: Condition): Test => {
      const { text } = condition;
      switch (condition.kind) {
        case 'attribute':
          return condition;
        case 'prefix':
          if (!sets.includes(condition.set)) sets.push(condition.set);
          return { kind: 'prefix', text, index: sets.indexOf(condition.set) };
        case 'not':
          return { kind: 'not', text, all: condition.all.map(bind) };
        default:
          return { kind: 'constant', text, value: condition.holds(env) };
      }
    };
    this.#instructions = chain.steps.map((step) => {
      // What can never hold looks at no prefix.
      const never = step.conditions.find((condition) => isConstant(condition) && !holdsAlways(condition, env));
      const tests: Test[] = never
        ? [{ kind: 'constant', text: never.text, value: false }]
        : step.conditions.filter((condition) => !isConstant(condition)).map(bind);
      return { step, tests, edit: step.edit, otherwise: step.otherwise };
    });
    this.#sets = sets;
    this.seesPrefix = sets.length > 0 || chain.sees.function;
    this.isMemoisable = sets.length <= MOST_SETS && !chain.sees.function;
  }

  /** The answers of the prefix conditions, a bit each; 0 where there are none or too many for that. */
  classOf(address: Uint32Array, at: number, words: 1 | 4, length: number): number {
    const sets = this.#sets;
    if (sets.length > MOST_SETS) return 0;
    let bits = 0;
    for (let i = 0; i < sets.length; i++) if (sets[i]!.matches(address, at, words, length)) bits |= 1 << i;
    return bits;
  }

  /** The same for a prefix of the table, remembered. */
  classAt(rib: FamilyRib, id: number): number {
    const { prefixes } = rib;
    if (prefixes.generation !== this.#generation || id >= this.#classes.length) this.#makeRoom(prefixes);
    const known = this.#classes[id]!;
    if (known !== 0) return known - 1;
    const { words } = prefixes;
    const bits = this.classOf(prefixes.address, id * words, words, prefixes.length[id]!);
    if (bits < 255) this.#classes[id] = bits + 1;
    return bits;
  }

  #makeRoom(prefixes: PrefixTable): void {
    const capacity = prefixes.length.length;
    if (this.#generation === prefixes.generation) {
      const larger = new Uint8Array(capacity);
      larger.set(this.#classes);
      this.#classes = larger;
    } else {
      this.#classes = new Uint8Array(capacity);
      this.#generation = prefixes.generation;
    }
  }

  /** Runs over a subject that has been loaded, and changes it. True = accepted. `place` is the prefix of class `bits`. */
  run(subject: Subject, bits: number, place: PrefixAt, trace?: TraceStep[]): boolean {
    const instructions = this.#instructions;
    for (let at = 0; at < instructions.length;) {
      const instruction = instructions[at]!;
      const failed = this.#firstFailed(instruction.tests, subject, bits, place);
      if (failed) {
        if (trace) trace.push(traced(instruction, failed.text, null));
        at = instruction.otherwise;
        continue;
      }
      const { step, edit } = instruction;
      let { then } = step;
      if (step.run) {
        const verdict = this.#call(step, subject, place);
        if (trace) trace.push({ ...traced(instruction, undefined, verdict.then), set: verdict.edit?.text ?? null });
        then = verdict.edit && !verdict.edit.apply(subject) ? 'reject' : verdict.then;
      } else {
        if (trace) trace.push(traced(instruction, undefined, then));
        // Fail closed: what fits into no message cannot be wanted.
        if (edit && !edit.apply(subject)) then = 'reject';
      }
      if (then !== 'next') {
        this.decidedBy = step;
        return then === 'accept';
      }
      at++;
    }
    this.decidedBy = undefined;
    return false;
  }

  #firstFailed(tests: readonly Test[], subject: Subject, bits: number, place: PrefixAt): Test | undefined {
    for (let i = 0; i < tests.length; i++) if (!this.#holds(tests[i]!, subject, bits, place)) return tests[i];
    return undefined;
  }

  #holds(test: Test, subject: Subject, bits: number, place: PrefixAt): boolean {
    switch (test.kind) {
      case 'attribute':
        return test.holds(subject);
      case 'prefix':
        if (this.#sets.length <= MOST_SETS) return (bits & (1 << test.index)) !== 0;
        return this.#sets[test.index]!.matches(place.address, place.at, place.words, place.length);
      case 'constant':
        return test.value;
      case 'not':
        return this.#firstFailed(test.all, subject, bits, place) !== undefined;
    }
  }

  #call(step: Step, subject: Subject, place: PrefixAt): { then: Step['then']; edit: Edit | undefined } {
    try {
      const answer: unknown = step.run!(viewRoute(subject, place, this.#env), viewPeer(this.#env));
      const verdict = readVerdict(answer);
      if (!verdict) throw new TypeError('the answer is no verdict: accept, reject, next, or {then, set}');
      return { then: verdict.then, edit: verdict.set && this.chain.editOf(verdict.set) };
    } catch (error) {
      this.chain.failed({ policy: step.policy, error });
      return { then: 'reject', edit: undefined };
    }
  }
}

function isConstant(condition: Condition): boolean {
  return flatten([condition]).every(({ kind }) => kind !== 'attribute' && kind !== 'prefix');
}

function holdsAlways(condition: Condition, env: Environment): boolean {
  if (condition.kind === 'not') return !condition.all.every((one) => holdsAlways(one, env));
  return condition.kind !== 'attribute' && condition.kind !== 'prefix' && condition.holds(env);
}

function traced({ step, edit }: Instruction, failed: string | undefined, then: Step['then'] | null): TraceStep {
  return {
    policy: step.policy,
    statement: step.statement,
    name: step.name ?? null,
    matched: failed === undefined,
    failed: failed ?? null,
    set: failed === undefined ? (edit?.text ?? null) : null,
    call: failed === undefined ? (step.call ?? null) : null,
    then,
  };
}
