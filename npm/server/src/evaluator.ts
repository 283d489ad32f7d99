/**
 * Decisions for documents of features: `@tallymark/server/evaluator`, for documents of the collector or of
 * GrowthBook. Every client has one inside; this is for whoever has documents of their own.
 *
 * It is the Rust that the collector runs, as plain JavaScript: not every place where this runs may
 * compile WebAssembly.
 *
 * @packageDocumentation
 */

import * as flags from "tallymark-asm/experiments";
import { __wbg_set_wasm, Evaluator as Module } from "tallymark-glue/experiments";

import { Evaluation } from "../../src/evaluation.js";
import type { Evaluator } from "../../src/flag-types.js";

__wbg_set_wasm(flags as unknown as WebAssembly.Exports);

export type { Evaluator, FlagDocument, Json, Met, Outcome, Person, Source } from "../../src/flag-types.js";

/** An evaluator with a document of its own. Questions are answered at once. */
export function createEvaluator(): Evaluator {
  return new Evaluation(new Module());
}
