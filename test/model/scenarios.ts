/**
 * Scenarios as data: one rule each, with the clause it stands in, what happens, and what has to be seen then. They are
 * played to the model and to the real RIB alike; expectations were written from the RFCs, not taken from either.
 */
import type { Scenario } from './scenario-kit.js';
import { DECISION_SCENARIOS } from './scenarios-decision.js';
import { EXPORT_SCENARIOS } from './scenarios-export.js';
import { MULTIPATH_SCENARIOS } from './scenarios-multipath.js';

export const SCENARIOS: readonly Scenario[] = [...DECISION_SCENARIOS, ...MULTIPATH_SCENARIOS, ...EXPORT_SCENARIOS];
