/**
 * A chain of policies as one list of steps: calls are written out, so that running it is a walk with jumps. Compiled once
 * per configuration; `Program` is the list made for given peers.
 */
import { compileMatch } from './condition.js';
import type { Condition } from './condition.js';
import type { PolicyDefinition, PolicyDefinitions, Then } from './definition.js';
import { Edit } from './edit.js';
import { MOST_STEPS } from './limits.js';
import { Names, PolicyError } from './names.js';
import type { PolicyFailure, PolicyFunction } from './policy-function.js';
import type { Prefix } from 'bgp-parse';

export interface Step {
  readonly policy: string;
  /** Counted from 1; 0 = the default of the policy. */
  readonly statement: number;
  readonly name: string | undefined;
  readonly conditions: readonly Condition[];
  readonly edit: Edit | undefined;
  readonly then: Then;
  /** Where to go on when the conditions do not hold. */
  readonly otherwise: number;
  /** The policy is a function of the embedding program. */
  readonly run: PolicyFunction | undefined;
  /** Only for people: the policy that is called here. */
  readonly call: string | undefined;
}

export interface CompilerOptions {
  readonly definitions: PolicyDefinitions;
  readonly ownAs: number;
  readonly ownNetworks: readonly Prefix[];
  readonly functions: { readonly [name: string]: PolicyFunction };
  /** A function has thrown, or answered with no verdict. */
  readonly failed: (failure: PolicyFailure) => void;
}

export interface CompiledChain {
  readonly names: readonly string[];
  readonly steps: readonly Step[];
  /** Some step asks for the peer, for the source of the route, for its prefix (inside of our own), runs a function. */
  readonly sees: {
    readonly peer: boolean;
    readonly source: boolean;
    readonly prefix: boolean;
    readonly own: boolean;
    readonly function: boolean;
  };
  readonly failed: (failure: PolicyFailure) => void;
  /** For the changes that functions ask for. */
  readonly editOf: (set: ConstructorParameters<typeof Edit>[0]) => Edit;
}

export class Compiler {
  readonly #options: CompilerOptions;
  readonly #names: Names;
  readonly #chains = new Map<string, CompiledChain>();

  constructor(options: CompilerOptions) {
    this.#options = options;
    this.#names = new Names(options.definitions, options.ownNetworks);
  }

  /** Policies one after the other: each that does not decide leaves it to the next. Throws a `PolicyError`. */
  chain(names: readonly string[], preset: { readonly [name: string]: PolicyDefinition }): CompiledChain {
    const key = `${names.join(' ')}|${Object.keys(preset).join(' ')}${JSON.stringify(preset)}`;
    let chain = this.#chains.get(key);
    if (!chain) this.#chains.set(key, (chain = this.#compile(names, preset)));
    return chain;
  }

  #compile(names: readonly string[], preset: { readonly [name: string]: PolicyDefinition }): CompiledChain {
    const steps: Step[] = [];
    for (const name of names) this.#add(steps, steps.length, name, preset, []);
    const all = steps.flatMap(({ conditions }) => flatten(conditions));
    return {
      names,
      steps,
      sees: {
        peer: all.some(({ kind }) => kind === 'peer'),
        source: all.some(({ kind }) => kind === 'source'),
        prefix: all.some(({ kind }) => kind === 'prefix'),
        own: all.some((condition) => condition.kind === 'prefix' && condition.set === this.#names.ownNetworks),
        function: steps.some(({ run }) => run !== undefined),
      },
      failed: this.#options.failed,
      editOf: (set) => this.#edit(set),
    };
  }

  /** `begin`: where the policy of the chain begins that all this is part of. */
  #add(
    steps: Step[],
    begin: number,
    policy: string,
    preset: { readonly [name: string]: PolicyDefinition },
    callers: readonly string[],
  ): void {
    if (callers.includes(policy)) throw new PolicyError(`policy ${[...callers, policy].join(' calls ')}: without end`);
    const plain = { policy, name: undefined, conditions: [], edit: undefined, run: undefined, call: undefined };
    const always = (then: Then): void => {
      steps.push({ ...plain, statement: 0, then, otherwise: steps.length + 1 });
    };
    if (steps.length - begin > MOST_STEPS)
      throw new PolicyError(`policy ${policy}: more than ${MOST_STEPS} steps with its calls`);
    if (policy === 'accept' || policy === 'reject') return always(policy);
    const { functions, definitions } = this.#options;
    if (Object.hasOwn(functions, policy)) {
      steps.push({ ...plain, statement: 1, then: 'next', otherwise: steps.length + 1, run: functions[policy] });
      return;
    }
    const source = Object.hasOwn(definitions.policies, policy) ? definitions.policies : preset;
    if (!Object.hasOwn(source, policy)) throw new PolicyError(`there is no policy ${JSON.stringify(policy)}`);
    const definition = source[policy]!;
    for (const [index, statement] of (definition.statements ?? []).entries()) {
      const at = steps.length;
      const { name, call } = statement;
      const step = {
        policy,
        statement: index + 1,
        name,
        conditions: statement.match ? compileMatch(statement.match, this.#names) : [],
        edit: statement.set ? this.#edit(statement.set) : undefined,
        run: undefined,
        call,
      };
      const then = statement.then ?? 'next';
      steps.push({ ...step, then: call === undefined ? then : 'next', otherwise: at + 1 });
      if (call === undefined) continue;
      this.#add(steps, begin, call, preset, [...callers, policy]);
      // What the call has left open.
      if (then !== 'next')
        steps.push({ ...step, conditions: [], edit: undefined, call: undefined, then, otherwise: steps.length + 1 });
      steps[at] = { ...steps[at]!, otherwise: steps.length };
    }
    if (definition.default !== undefined && definition.default !== 'next') always(definition.default);
  }

  #edit(set: ConstructorParameters<typeof Edit>[0]): Edit {
    return new Edit(set, this.#options.ownAs, (name) => this.#names.communityList(name));
  }
}

export function flatten(conditions: readonly Condition[]): Condition[] {
  return conditions.flatMap((condition) => (condition.kind === 'not' ? flatten(condition.all) : [condition]));
}
