// HOT: once per attribute set, and per route where prefixes are looked at. Guarded by bench S1, S4 with a policy.
/**
 * A compiled chain for given peers: what depends on them is decided here, once, and gone from the conditions. What is
 * left asks attributes (`AttributeFacts`) or prefixes (`PrefixClasses`). Most verdicts follow from these two numbers
 * alone and are looked up (`VerdictRow`); where the chain changes attributes, or asks for what it has changed, it is run.
 */
import type { AttributeFacts } from './attribute-facts.js';
import { flatten } from './compile.js';
import type { CompiledChain, Step } from './compile.js';
import type { Condition, Environment } from './condition.js';
import type { Edit } from './edit.js';
import { readVerdict, viewPeer, viewRoute } from './policy-function.js';
import { PrefixClasses } from './prefix-classes.js';
import type { PrefixSet } from './prefix-classes.js';
import type { Subject } from './subject.js';

/** What follows from facts and class. `open`: accepted with changes, or not known without a run. */
export const Settled = { unknown: 0, rejected: 1, asIs: 2, open: 3 } as const;

/** The verdicts of a program on sets of which the same facts hold. */
export class VerdictRow {
  readonly facts: number;
  /** By class. */
  readonly verdicts: Uint8Array;
  /** The verdict on every class, `unknown` when there are several. */
  uniform: number = Settled.unknown;

  constructor(facts: number, classes: number) {
    this.facts = facts;
    this.verdicts = new Uint8Array(classes);
  }
}

/** With more classes a row is filled as they are asked for. */
const FEW_CLASSES = 64;
/** Rows kept: there are as many as combinations of facts. */
const MOST_ROWS = 1024;

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
  | {
      readonly kind: 'attribute';
      readonly text: string;
      readonly holds: (subject: Subject) => boolean;
      /** Its bit among the facts; 0 = it has none. */
      readonly fact: number;
    }
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
  readonly classes: PrefixClasses;
  /** Its verdicts may be different for different prefixes with equal attributes. */
  readonly seesPrefix: boolean;
  /** False where a function of the embedding program is asked. */
  readonly isMemoisable: boolean;
  /** Step that has decided the last run; undefined = none has. */
  decidedBy: Step | undefined;
  readonly #env: Environment;
  readonly #instructions: readonly Instruction[];
  readonly #facts: AttributeFacts | undefined;
  readonly #mask: number;
  readonly #rows = new Map<number, VerdictRow>();
  #last: VerdictRow;

  /** `key`: of equal programs. `facts`: of the attribute sets it will be asked about; `classesOf`: shared ones. */
  constructor(
    key: string,
    chain: CompiledChain,
    env: Environment,
    facts: AttributeFacts | undefined,
    classesOf: (sets: readonly PrefixSet[]) => PrefixClasses,
  ) {
    this.key = key;
    this.chain = chain;
    this.#env = env;
    this.#facts = facts;
    const sets: PrefixSet[] = [];
    let mask = 0;
    const bind = (condition: Condition): Test => {
      const { text } = condition;
      switch (condition.kind) {
        case 'attribute': {
          const index = facts ? facts.indexOf(condition) : -1;
          const fact = index < 0 ? 0 : 1 << index;
          mask |= fact;
          return { kind: 'attribute', text, holds: condition.holds, fact };
        }
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
    this.#mask = mask;
    this.classes = classesOf(sets);
    const isPlain = this.classes.isPlain(env.family === 'ipv4-unicast' ? 0 : 1);
    this.seesPrefix = !isPlain || chain.sees.function;
    this.isMemoisable = !chain.sees.function;
    this.#last = this.#makeRow(0);
  }

  /** The verdicts on routes with this attribute set. */
  rowOf(attribute: number): VerdictRow {
    const facts = this.#mask === 0 ? 0 : this.#facts!.of(attribute, this.#mask);
    const last = this.#last;
    return last.facts === facts ? last : this.#otherRow(facts);
  }

  /** The verdict of a row on a class. */
  settled(row: VerdictRow, id: number): number {
    const known = row.verdicts[id]!;
    return known !== Settled.unknown ? known : (row.verdicts[id] = this.#settle(row.facts, id));
  }

  #otherRow(facts: number): VerdictRow {
    const row = this.#rows.get(facts) ?? this.#makeRow(facts);
    this.#last = row;
    return row;
  }

  #makeRow(facts: number): VerdictRow {
    if (this.#rows.size === MOST_ROWS) this.#rows.clear();
    const { count } = this.classes;
    const row = new VerdictRow(facts, count);
    this.#rows.set(facts, row);
    if (!this.seesPrefix) row.uniform = this.settled(row, 0);
    else if (count <= FEW_CLASSES) {
      for (let id = 0; id < count; id++) this.settled(row, id);
      if (row.verdicts.every((verdict) => verdict === row.verdicts[0])) row.uniform = row.verdicts[0]!;
    }
    return row;
  }

  /** Walks as `run` does, as far as facts and class tell the way. */
  #settle(facts: number, id: number): number {
    const instructions = this.#instructions;
    let isEdited = false;
    for (let at = 0; at < instructions.length;) {
      const { tests, step, edit, otherwise } = instructions[at]!;
      const holds = this.#allHold(tests, facts, id, isEdited);
      if (holds === undefined) return Settled.open;
      if (!holds) {
        at = otherwise;
        continue;
      }
      if (step.run) return Settled.open;
      // Also where an edit before does not fit.
      if (step.then === 'reject') return Settled.rejected;
      if (edit) isEdited = true;
      if (step.then === 'accept') return isEdited ? Settled.open : Settled.asIs;
      at++;
    }
    return Settled.rejected;
  }

  /** undefined = not known. */
  #allHold(tests: readonly Test[], facts: number, id: number, isEdited: boolean): boolean | undefined {
    let isKnown = true;
    for (const test of tests) {
      const holds = this.#knownToHold(test, facts, id, isEdited);
      if (holds === false) return false;
      if (holds === undefined) isKnown = false;
    }
    return isKnown ? true : undefined;
  }

  #knownToHold(test: Test, facts: number, id: number, isEdited: boolean): boolean | undefined {
    switch (test.kind) {
      case 'attribute':
        return test.fact === 0 || isEdited ? undefined : (facts & test.fact) !== 0;
      case 'prefix':
        return this.classes.isIn(id, test.index);
      case 'constant':
        return test.value;
      case 'not': {
        const holds = this.#allHold(test.all, facts, id, isEdited);
        return holds === undefined ? undefined : !holds;
      }
    }
  }

  /** Runs over a subject that has been loaded, and changes it. True = accepted. `place` is the prefix, of class `id`. */
  run(subject: Subject, id: number, place: PrefixAt, trace?: TraceStep[]): boolean {
    const instructions = this.#instructions;
    for (let at = 0; at < instructions.length;) {
      const instruction = instructions[at]!;
      const failed = this.#firstFailed(instruction.tests, subject, id);
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

  #firstFailed(tests: readonly Test[], subject: Subject, id: number): Test | undefined {
    for (let i = 0; i < tests.length; i++) if (!this.#holds(tests[i]!, subject, id)) return tests[i];
    return undefined;
  }

  #holds(test: Test, subject: Subject, id: number): boolean {
    switch (test.kind) {
      case 'attribute':
        return test.holds(subject);
      case 'prefix':
        return this.classes.isIn(id, test.index);
      case 'constant':
        return test.value;
      case 'not':
        return this.#firstFailed(test.all, subject, id) !== undefined;
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
