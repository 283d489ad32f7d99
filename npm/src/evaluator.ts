/**
 * What somebody gets of a feature, computed by the same Rust in browsers and on servers.
 *
 * Documents have the form of the GrowthBook specification, as the collector serves them under
 * `/v1/flags/<write key>`. Pages use `@tallymark/web/experiments`, which fetches the document and
 * records exposures; this is for servers, and for documents that come from elsewhere.
 *
 * @packageDocumentation
 */

import * as glue from "tallymark-glue/experiments";

import { Evaluation } from "./evaluation.js";
import type { FlagDocument, Json, Met, Outcome, Person } from "./flag-types.js";

export type { FlagDocument, Json, Met, Outcome, Person, Source } from "./flag-types.js";

let evaluation: Evaluation | undefined;

/**
 * Starts the module: from its bytes or its address, or from beside this script. Where WebAssembly is
 * refused, the same as JavaScript takes over. A second call changes nothing.
 */
export async function start(wasm?: string | URL | BufferSource): Promise<void> {
  if (evaluation) return; // The glue remembers the memory of the instance it met first.
  try {
    // The name stands here, and the address of this file in it, for bundlers to find and rewrite.
    const source = wasm ?? new URL("experiments_bg.wasm", import.meta.url);
    const imports = { "./experiments_bg.js": glue as unknown as WebAssembly.ModuleImports };
    const { instance } =
      typeof source === "string" || source instanceof URL
        ? await WebAssembly.instantiateStreaming(fetch(source), imports)
        : ((await WebAssembly.instantiate(source, imports)) as WebAssembly.WebAssemblyInstantiatedSource);
    glue.__wbg_set_wasm(instance.exports);
    evaluation = new Evaluation(new glue.Evaluator());
  } catch {
    evaluation = new Evaluation(new (await import("./evaluator-plain.js")).Evaluator());
  }
}

/** Evaluates this document from now on. Says whether it could be read. */
export function setDocument(given: FlagDocument): boolean {
  return evaluation?.setDocument(given) ?? false;
}

/** Answers for this person from now on. Says whether the attributes could be read. */
export function setPerson(person: Person): boolean {
  return evaluation?.setPerson(person) ?? false;
}

/** The value of a feature. */
export function feature(key: string): Outcome {
  return evaluation?.feature(key) ?? { value: null, source: "unknownFeature", rule: undefined, met: undefined, decided: [] };
}

/** Runs an experiment that belongs to no feature. Needs {@link start}. */
export function run(experiment: Json): Met {
  if (!evaluation) throw new Error("start the module first");
  return evaluation.run(experiment);
}

/** The first of these experiments that sends the person to another page, and the address. */
export function redirect(experiments: readonly Json[]): { experiment: Json; url: string } | undefined {
  return evaluation?.redirect(experiments);
}
