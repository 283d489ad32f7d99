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

import { pack } from "./pack.js";

/** Any JSON object. */
export type Json = { readonly [name: string]: unknown };

/** Features and the lists they refer to. */
export interface FlagDocument {
  features?: { readonly [key: string]: Json };
  savedGroups?: { readonly [name: string]: readonly unknown[] };
  contextualBandits?: { readonly [name: string]: Json };
}

/** Whose question it is. */
export interface Person {
  /** What conditions and allocation look at; `device` and `user` in documents of the collector. */
  attributes?: Json;
  /** The page's address. */
  url?: string;
  /** Places of variations by experiment, for tests of the page. */
  forcedVariations?: { readonly [experiment: string]: number };
  /** `false`: no experiment takes anybody. */
  enabled?: boolean;
  /** Only forced variations. */
  qaMode?: boolean;
  /** What was assigned before; present where assignments are kept. */
  stickyBucketAssignmentDocs?: { readonly [name: string]: Json };
}

/** What an experiment did. */
export interface Met {
  /** Its key. */
  key: string;
  /** The experiment as the document has it. */
  experiment: Json;
  /** The key of the feature; `undefined` for an experiment by itself. */
  featureId: string | undefined;
  /** The place of the variation; 0 when the person does not take part. */
  variationId: number;
  /** The name of the variation in results. */
  variant: string;
  /** What the variation holds. */
  value: unknown;
  /** Whether the person takes part. */
  inExperiment: boolean;
  /** Whether allocation decided: only that is an exposure. */
  hashUsed: boolean;
  /** Whether an earlier assignment decided. */
  stickyBucketUsed: boolean;
  /** Whether the assignment is one to keep. */
  keep: boolean;
  /** What it was allocated by. */
  hashAttribute: string;
  /** The point of the person, 0 to 1. */
  bucket: number | undefined;
  /** Of a contextual bandit: which part's weights were used; -1 for the experiment's own. */
  leaf: number | undefined;
}

/** Where a value came from. */
export type Source =
  | "unknownFeature"
  | "defaultValue"
  | "force"
  | "experiment"
  | "prerequisite"
  | "cyclicPrerequisite";

/** What somebody gets of a feature. */
export interface Outcome {
  /** The value; `null` when there is none. */
  value: unknown;
  source: Source;
  /** The rule it came from. */
  rule: Json | undefined;
  /** The experiment it came from. */
  met: Met | undefined;
  /** Every experiment that gave this person a variant by allocation, holdouts and prerequisites too. */
  decided: Met[];
}

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

let evaluator: glue.Evaluator | undefined;
let document: FlagDocument = {};

/**
 * Starts the module: from its bytes or its address, or from beside this script. Where WebAssembly is
 * refused, the same as JavaScript takes over. A second call changes nothing.
 */
export async function start(wasm?: string | URL | BufferSource): Promise<void> {
  if (evaluator) return; // The glue remembers the memory of the instance it met first.
  try {
    // The name stands here, and the address of this file in it, for bundlers to find and rewrite.
    const source = wasm ?? new URL("experiments_bg.wasm", import.meta.url);
    const imports = { "./experiments_bg.js": glue as unknown as WebAssembly.ModuleImports };
    const { instance } =
      typeof source === "string" || source instanceof URL
        ? await WebAssembly.instantiateStreaming(fetch(source), imports)
        : ((await WebAssembly.instantiate(source, imports)) as WebAssembly.WebAssemblyInstantiatedSource);
    glue.__wbg_set_wasm(instance.exports);
    evaluator = new glue.Evaluator();
  } catch {
    evaluator = new (await import("./evaluator-plain.js")).Evaluator();
  }
}

/** Evaluates this document from now on. Says whether it could be read. */
export function setDocument(given: FlagDocument): boolean {
  const isRead = evaluator?.keep(false, pack(given)) ?? false;
  if (isRead) document = given;
  return isRead;
}

/** Answers for this person from now on. Says whether the attributes could be read. */
export function setPerson(person: Person): boolean {
  return evaluator?.keep(true, pack(person)) ?? false;
}

/** The value of a feature. */
export function feature(key: string): Outcome {
  const [source, place, ...numbers] = evaluator?.feature(key) ?? [0, -1];
  const feature = document.features?.[key];
  const rule = rules(feature)[place as number];
  const all: Met[] = [];
  for (let at = 0; at < numbers.length; at += MET_LENGTH) all.push(read(numbers.slice(at)));
  const name = SOURCES[source as number] as Source;
  const met = name === "experiment" ? all.shift() : undefined;
  const values = { force: rule?.["force"], experiment: met?.value, defaultValue: feature?.["defaultValue"] };
  const value = (values as { [source: string]: unknown })[name] ?? null;
  return { value, source: name, rule, met, decided: all };
}

/** Runs an experiment that belongs to no feature. */
export function run(experiment: Json): Met {
  return read([...(evaluator?.experiment(pack(experiment)) ?? [-1, -1, 0, 0, -1, -2])], experiment);
}

/** The first of these experiments that sends the person to another page, and the address. */
export function redirect(experiments: readonly Json[]): { experiment: Json; url: string } | undefined {
  const [, place, url] = /^(\d+) (.*)$/.exec(evaluator?.redirect(pack(experiments)) ?? "") ?? [];
  return url === undefined ? undefined : { experiment: experiments[Number(place)] as Json, url };
}

function rules(feature: Json | undefined): Json[] {
  const all = feature?.["rules"];
  return Array.isArray(all) ? all : [];
}

function read(numbers: number[], alone?: Json): Met {
  const [feature, rule, place, bits, bucket, leaf] = numbers as [number, number, number, number, number, number];
  const featureId = alone ? undefined : Object.keys(document.features ?? {})[feature];
  const experiment = alone ?? (rules(document.features?.[featureId as string])[rule] as Json);
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
