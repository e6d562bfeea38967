/** `bgpctl check FILE`: judges a configuration here, without a daemon. */
import { loadConfig } from '../../config/load.js';
import { ConfigError } from '../../config/problems.js';
import type { Result } from '../result.js';

export async function checkFile(file: string): Promise<Result> {
  try {
    await loadConfig(file);
    return { kind: 'check', file, problems: [] };
  } catch (error) {
    if (error instanceof ConfigError) return { kind: 'check', file, problems: error.problems };
    throw error;
  }
}
