/** A route's way through policies, for people. */
import type { PolicyTestDto } from '../commands/policy.js';

export function policyText(test: PolicyTestDto): string {
  const lines = [`${test.prefix}: ${test.reason}`];
  for (const step of test.steps) {
    const where = step.statement === 0 ? 'default' : `statement ${step.statement}`;
    const name = step.name === null ? '' : ` (${step.name})`;
    const parts = step.matched
      ? [step.set === null ? '' : `set ${step.set}`, step.call === null ? '' : `call ${step.call}`, step.then ?? '']
      : [`does not match: ${step.failed}`];
    lines.push(`  policy ${step.policy} ${where}${name}: ${parts.filter((part) => part !== '').join('; ')}`);
  }
  for (const [key, { before, after }] of Object.entries(test.changes)) {
    lines.push(`  ${key}: ${valueText(before)} -> ${valueText(after)}`);
  }
  return `${lines.join('\n')}\n`;
}

function valueText(value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value))
    return value.length === 0
      ? 'empty'
      : value.map((one) => (Array.isArray(one) ? `{${one.join(' ')}}` : String(one))).join(' ');
  return String(value);
}
