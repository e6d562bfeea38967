/**
 * Kinds of configuration values. A kind joins, in one place, the check (zod), the JSON Schema and the words for people
 * ("an integer 1..65535"), so that an error message, the documentation and the check cannot disagree.
 *
 * Checks only judge, they never change a value. A failed check says `allowed`, not the value: showing the value (or
 * hiding it, when it is a secret) is for the caller, who knows the key.
 *
 * zod is imported as `zod/v3`: the same checks load in 8 ms there and in 45 ms from `zod`, which is a third of the time
 * `tortied` takes to start (measured on Node 20).
 */
import { FAMILIES, parseAddress, parseIpv4Number, parsePrefix } from 'bgp-parse';
import { z } from 'zod/v3';

export type JsonSchema = { readonly [key: string]: unknown };

export interface Kind<T> {
  readonly check: z.ZodTypeAny;
  /** The same judgement as a predicate, of a kind whose values have no parts. */
  readonly accepts?: (value: unknown) => boolean;
  readonly json: JsonSchema;
  /** What is allowed, to follow "must be". */
  readonly allowed: string;
  /** The keys, of a kind that is a map with fixed keys (for documentation). */
  readonly keys?: Keys;
  /** The keys are those of maps whose names the user has chosen. */
  readonly isNamed?: true;
  /** Carries the type; never set. */
  readonly type?: T;
}

/**
 * What changing a key does to a running daemon: `live` = nothing is interrupted; `session` = the peer's session is
 * closed and opened again; `sessions` = all of them are; `restart` = taken only when the daemon starts.
 */
export type Reload = 'live' | 'session' | 'sessions' | 'restart';

export interface Key<T> {
  readonly kind: Kind<T>;
  readonly doc: string;
  /** The default for people: a value as YAML, or how it is found. undefined = required. */
  readonly fallback: string | undefined;
  readonly unit?: 'seconds' | 'hops';
  readonly reload: Reload;
  /** Never shown in errors or logs. */
  readonly secret?: true;
}

export type Keys = { readonly [name: string]: Key<unknown> };

/** The values of a map with these keys, each of which may be absent. */
export type Values<K> = { [Name in keyof K]?: K[Name] extends Key<infer T> ? T | undefined : never };

/** A check by predicate whose one message is the allowed text. */
function judged<T>(allowed: string, json: JsonSchema, accepts: (value: unknown) => boolean): Kind<T> {
  return { check: z.unknown().refine(accepts, { message: allowed }), accepts, json, allowed };
}

export function integer(least: number, most: number): Kind<number> {
  return judged(`an integer ${least}..${most}`, { type: 'integer', minimum: least, maximum: most }, (value) => {
    return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
  });
}

/** For keys that are known and refused, whatever their value. */
export const anything: Kind<unknown> = judged('anything', {}, () => true);

export const boolean: Kind<boolean> = judged(
  'true or false',
  { type: 'boolean' },
  (value) => typeof value === 'boolean',
);

export function oneOf<const T extends string | number | boolean>(...values: T[]): Kind<T> {
  const quoted = values.map(String);
  const last = quoted.pop()!;
  return judged(quoted.length ? `${quoted.join(', ')} or ${last}` : last, { enum: values }, (value) => {
    return values.includes(value as T);
  });
}

export function text(most: number): Kind<string> {
  // A NUL or a newline in a path, a name or a password is always a mistake, and reaches C strings and logs.
  return judged(`1..${most} characters of text`, { type: 'string', minLength: 1, maxLength: most }, (value) => {
    return typeof value === 'string' && value.length > 0 && value.length <= most && !hasControlCharacter(value);
  });
}

function hasControlCharacter(value: string): boolean {
  return /\p{Cc}/u.test(value);
}

/** A text that a parser takes. */
export function matching(allowed: string, accepts: (value: string) => boolean): Kind<string> {
  return judged(
    allowed,
    { type: 'string', description: allowed },
    (value) => typeof value === 'string' && accepts(value),
  );
}

/** A number or a text that a parser takes. */
export function scalar(allowed: string, accepts: (value: number | string) => boolean): Kind<number | string> {
  return judged(allowed, { type: ['integer', 'string'], description: allowed }, (value) => {
    return (typeof value === 'number' || typeof value === 'string') && accepts(value);
  });
}

export const address: Kind<string> = matching('an IPv4 or IPv6 address', (value) => parseAddress(value) !== undefined);

export const dottedQuad: Kind<string> = matching(
  'a dotted quad other than 0.0.0.0, such as 192.0.2.1',
  (value) => (parseIpv4Number(value) ?? 0) > 0,
);

/** Host bits are judged apart, to say which prefix was meant. */
export const prefix: Kind<string> = matching(
  'an IPv4 or IPv6 prefix, such as 192.0.2.0/24',
  (value) => parsePrefix(value) !== undefined,
);

export const interfaceName: Kind<string> = matching('an interface name of 1..15 octets', (value) =>
  isInterfaceName(value, 15),
);

function isInterfaceName(value: string, most: number): boolean {
  const isWord = /^[^\s/:\p{Cc}]+$/u.test(value) && value !== '.' && value !== '..';
  return isWord && new TextEncoder().encode(value).length <= most;
}

/** A second device has the same name with a 6 behind. */
export const tunnelName: Kind<string> = matching('an interface name of 1..14 octets', (value) =>
  isInterfaceName(value, 14),
);

export const hostPort: Kind<string> = matching(
  'ADDRESS:PORT, such as 127.0.0.1:7179 or [::1]:7179',
  (value) => parseHostPort(value) !== undefined,
);

/** `127.0.0.1:7179` or `[::1]:7179`; undefined when malformed. Names are refused: who is reached must not depend on DNS. */
export function parseHostPort(value: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([1-9]\d{0,4})$/.exec(value);
  if (!match) return undefined;
  const [, ipv6, ipv4] = match;
  const port = Number(match[3]);
  const host = ipv6 ?? ipv4!;
  if (port > 65535 || parseAddress(host)?.length !== (ipv6 === undefined ? 4 : 16)) return undefined;
  return { host, port };
}

// RFC 7607: AS 0 is never used. RFC 6793 §9: 23456 stands for an AS that does not fit. RFC 7300: the last of each size.
const RESERVED_ASNS = new Set([0, 23456, 65535, 4294967295]);

export const asn: Kind<number> = judged(
  'an AS number 1..4294967294 (a plain number, not 23456 or 65535)',
  { type: 'integer', minimum: 1, maximum: 4294967294, not: { enum: [23456, 65535] } },
  (value) =>
    Number.isInteger(value) &&
    (value as number) > 0 &&
    (value as number) < 2 ** 32 &&
    !RESERVED_ASNS.has(value as number),
);

export const family = oneOf(...FAMILIES);

export function list<T>(item: Kind<T>, most = 100_000): Kind<T[]> {
  const check = z.array(item.check, { invalid_type_error: listAllowed(item) }).max(most);
  return {
    check,
    json: { type: 'array', items: item.json },
    allowed: listAllowed(item),
    ...(item.keys && { keys: item.keys }),
  };
}

function listAllowed(item: Kind<unknown>): string {
  return item.keys ? 'a list of maps' : `a list, each ${item.allowed}`;
}

/** Maps with more keys are described without naming them. */
const MOST_KEYS_NAMED = 6;

/**
 * A map with fixed keys; any other key is refused. Only the keys that are there are looked at: a peer has thirty that it
 * may have and five that it has, and there may be thousands of peers.
 */
export function map<const K extends Keys>(keys: K): Kind<Values<K>> {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, key] of Object.entries(keys)) properties[name] = { ...key.kind.json, description: key.doc };
  const names = Object.keys(keys);
  const allowed = names.length > MOST_KEYS_NAMED ? 'a map' : `a map with the keys ${names.join(', ')}`;
  const check = z.unknown().superRefine((value, context) => {
    if (!isMap(value)) {
      context.addIssue({ code: z.ZodIssueCode.custom, message: allowed });
      return;
    }
    const unknown: string[] = [];
    for (const name of Object.keys(value)) {
      const part = value[name];
      if (!Object.hasOwn(keys, name)) unknown.push(name);
      else if (part !== undefined && !keys[name]!.kind.accepts?.(part)) {
        const { error } = keys[name]!.kind.check.safeParse(part);
        for (const issue of error?.issues ?? []) context.addIssue({ ...issue, path: [name, ...issue.path] });
      }
    }
    if (unknown.length > 0) context.addIssue({ code: z.ZodIssueCode.unrecognized_keys, keys: unknown });
  });
  return { check, json: { type: 'object', properties, additionalProperties: false }, allowed, keys };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A map from names chosen by the user. */
export function named<T>(item: Kind<T>): Kind<Record<string, T>> {
  const allowed = 'a map from names to settings';
  return {
    check: z.record(z.string(), item.check, { invalid_type_error: allowed }),
    json: { type: 'object', additionalProperties: item.json },
    allowed,
    isNamed: true,
    ...(item.keys && { keys: item.keys }),
  };
}

/** One of several kinds. A map is judged by the one kind that is a map, so that errors inside it keep their own path. */
export function either<A, B>(a: Kind<A>, b: Kind<B>): Kind<A | B> {
  const allowed = `${a.allowed}, or ${b.allowed}`;
  const json = { anyOf: [a.json, b.json] };
  const [first, second] = [a.accepts, b.accepts];
  if (first && second) return judged(allowed, json, (value) => first(value) || second(value));
  const structured = [a, b].find((kind) => kind.keys);
  const keys = structured?.keys;
  const check = z.unknown().superRefine((value, context) => {
    if (structured && isMap(value)) {
      const result = structured.check.safeParse(value);
      for (const issue of result.error?.issues ?? []) context.addIssue(issue);
    } else if (![a, b].some((kind) => kind.check.safeParse(value).success)) {
      context.addIssue({ code: z.ZodIssueCode.custom, message: allowed });
    }
  });
  return { check, json, allowed, ...(keys && { keys }) };
}

type Extra = Pick<Key<unknown>, 'unit' | 'secret'>;

/** One key of a map: `fallback` is its default in words. */
export function key<T>(
  kind: Kind<T>,
  reload: Reload,
  fallback: string | undefined,
  doc: string,
  extra: Extra = {},
): Key<T> {
  return { kind, reload, fallback, doc, ...extra };
}

export const seconds = { unit: 'seconds' } as const;
