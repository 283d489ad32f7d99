/** The types of documents of features, of questions about them, and of answers. */

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

/** One document, and whose questions are answered now. */
export interface Evaluator {
  /** Evaluates this document from now on. Says whether it could be read. */
  setDocument(document: FlagDocument): boolean;
  /** Answers for this person from now on. Says whether the attributes could be read. */
  setPerson(person: Person): boolean;
  /** The value of a feature. */
  feature(key: string): Outcome;
  /** Runs an experiment that belongs to no feature. */
  run(experiment: Json): Met;
  /** The first of these experiments that sends the person to another page, and the address. */
  redirect(experiments: readonly Json[]): { experiment: Json; url: string } | undefined;
}
