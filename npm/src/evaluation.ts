/**
 * A document of features and one person's question about it, answered by the module for flags:
 * WebAssembly in pages, the same Rust as JavaScript elsewhere. See `evaluator` for what is public.
 */

import type { Evaluator as Inside } from "tallymark-glue/experiments";

import type { Evaluator, FlagDocument, Json, Met, Outcome, Person, Source } from "./flag-types.js";
import { pack } from "./pack.js";

const SOURCES: Source[] = [
  "unknownFeature",
  "defaultValue",
  "force",
  "experiment",
  "prerequisite",
  "cyclicPrerequisite",
];
/** Numbers that tell of one experiment, see `sdk-wasm/src/evaluation.rs`. */
const MET_LENGTH = 6;

/** Asks the module, and says in words what it answers in numbers. */
export class Evaluation implements Evaluator {
  private document: FlagDocument = {};

  constructor(private readonly inside: Inside) {}

  setDocument(given: FlagDocument): boolean {
    const isRead = this.inside.keep(false, pack(given));
    if (isRead) this.document = given;
    return isRead;
  }

  setPerson(person: Person): boolean {
    return this.inside.keep(true, pack(person));
  }

  feature(key: string): Outcome {
    const [source, place, ...numbers] = this.inside.feature(key);
    const feature = this.document.features?.[key];
    const rule = rules(feature)[place as number];
    const all: Met[] = [];
    for (let at = 0; at < numbers.length; at += MET_LENGTH) all.push(this.read(numbers.slice(at)));
    const name = SOURCES[source as number] as Source;
    const met = name === "experiment" ? all.shift() : undefined;
    const values = { force: rule?.["force"], experiment: met?.value, defaultValue: feature?.["defaultValue"] };
    const value = (values as { [source: string]: unknown })[name] ?? null;
    return { value, source: name, rule, met, decided: all };
  }

  run(experiment: Json): Met {
    return this.read([...this.inside.experiment(pack(experiment))], experiment);
  }

  redirect(experiments: readonly Json[]): { experiment: Json; url: string } | undefined {
    const [, place, url] = /^(\d+) (.*)$/.exec(this.inside.redirect(pack(experiments))) ?? [];
    return url === undefined ? undefined : { experiment: experiments[Number(place)] as Json, url };
  }

  private read(numbers: number[], alone?: Json): Met {
    const [feature, rule, place, bits, bucket, leaf] = numbers as [number, number, number, number, number, number];
    const featureId = alone ? undefined : Object.keys(this.document.features ?? {})[feature];
    const experiment = alone ?? (rules(this.document.features?.[featureId as string])[rule] as Json);
    const { key, meta, variations, contextualVariations, hashAttribute, fallbackAttribute } = experiment as {
      [name: string]: unknown;
    };
    const names = Array.isArray(meta) ? (meta[place] as { key?: unknown } | undefined) : undefined;
    return {
      key: String(key || featureId || ""),
      experiment,
      featureId,
      variationId: place,
      variant: String(names?.key || place),
      value: ((contextualVariations ?? variations) as unknown[] | undefined)?.[place],
      inExperiment: (bits & 1) > 0,
      hashUsed: (bits & 2) > 0,
      stickyBucketUsed: (bits & 4) > 0,
      keep: (bits & 8) > 0,
      hashAttribute: String((bits & 16 ? fallbackAttribute : hashAttribute) || "id"),
      bucket: bucket < 0 ? undefined : bucket,
      leaf: leaf < -1 ? undefined : leaf,
    };
  }
}

function rules(feature: Json | undefined): Json[] {
  const all = feature?.["rules"];
  return Array.isArray(all) ? all : [];
}
