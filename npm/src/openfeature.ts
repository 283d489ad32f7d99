/**
 * A provider for OpenFeature in browsers: `@tallymark/web/openfeature`.
 *
 * Values come from `@tallymark/web/experiments`. An evaluation that gave a variant counts as meeting
 * it, because OpenFeature's hooks and components evaluate what they show; with
 * `exposeOnEvaluation: false` the page says so itself.
 *
 * @packageDocumentation
 */

import type { EvaluationContext, JsonValue, Provider, ResolutionDetails, TrackingEventDetails } from "@openfeature/web-sdk";
import { ErrorCode, OpenFeatureEventEmitter, ProviderEvents, StandardResolutionReasons } from "@openfeature/web-sdk";

import { evaluate, type ExperimentOptions, exposure, type Json, onChange, setAttributes, start } from "./experiments.js";
import { track } from "./index.js";
import type { Properties } from "./types.js";

/** Settings of {@link TallymarkProvider}. */
export interface ProviderOptions extends ExperimentOptions {
  /** Whether an evaluation that gives a variant records the exposure. Default `true`. */
  exposeOnEvaluation?: boolean;
}

/**
 * Answers OpenFeature's questions. Pass it to `OpenFeature.setProviderAndWait`.
 *
 * @example
 * await OpenFeature.setProviderAndWait(new TallymarkProvider({ key: "tm_pk_…", endpoint: "https://stats.example.com" }));
 */
export class TallymarkProvider implements Provider {
  readonly metadata = { name: "tallymark" } as const;
  readonly runsOn = "client";
  readonly events = new OpenFeatureEventEmitter();
  private stop: (() => void) | undefined;

  constructor(private readonly options: ProviderOptions) {}

  async initialize(context: EvaluationContext = {}): Promise<void> {
    const isReady = await start({ ...this.options, attributes: { ...this.options.attributes, ...read(context) } });
    if (!isReady) throw new Error("the flags cannot be loaded; defaults are used");
    this.stop = onChange(() => this.events.emit(ProviderEvents.ConfigurationChanged));
  }

  async onContextChange(_: EvaluationContext, context: EvaluationContext): Promise<void> {
    setAttributes({ ...this.options.attributes, ...read(context) });
  }

  async onClose(): Promise<void> {
    this.stop?.();
  }

  resolveBooleanEvaluation(key: string, fallback: boolean): ResolutionDetails<boolean> {
    return this.resolve(key, fallback, (value) => typeof value === "boolean");
  }

  resolveStringEvaluation(key: string, fallback: string): ResolutionDetails<string> {
    return this.resolve(key, fallback, (value) => typeof value === "string");
  }

  resolveNumberEvaluation(key: string, fallback: number): ResolutionDetails<number> {
    return this.resolve(key, fallback, (value) => typeof value === "number");
  }

  resolveObjectEvaluation<T extends JsonValue>(key: string, fallback: T): ResolutionDetails<T> {
    return this.resolve(key, fallback, (value) => typeof value === "object" && value !== null);
  }

  /** OpenFeature's tracking is an event like any other. */
  track(name: string, _: EvaluationContext, details: TrackingEventDetails = {}): void {
    track(name, details as unknown as Properties);
  }

  private resolve<T>(key: string, fallback: T, fits: (value: unknown) => boolean): ResolutionDetails<T> {
    const outcome = evaluate(key);
    if (!outcome) return failed(fallback, ErrorCode.PROVIDER_NOT_READY, "flags are not loaded yet");
    const { value, source, variant } = outcome;
    if (source === "unknownFeature") return failed(fallback, ErrorCode.FLAG_NOT_FOUND, `${key} is not running`);
    if (source === "cyclicPrerequisite") return failed(fallback, ErrorCode.GENERAL, `${key} depends on itself`);
    if (value === null) return { value: fallback, reason: StandardResolutionReasons.DEFAULT };
    if (!fits(value)) return failed(fallback, ErrorCode.TYPE_MISMATCH, `${key} holds a ${typeof value}`);
    if (this.options.exposeOnEvaluation !== false) exposure(key);
    const reasons: { [source: string]: string } = {
      experiment: StandardResolutionReasons.SPLIT,
      force: StandardResolutionReasons.TARGETING_MATCH,
    };
    const reason = reasons[source] ?? StandardResolutionReasons.STATIC;
    return { value: value as T, reason, ...(variant !== undefined && { variant }) };
  }
}

function failed<T>(value: T, errorCode: ErrorCode, errorMessage: string): ResolutionDetails<T> {
  return { value, reason: StandardResolutionReasons.ERROR, errorCode, errorMessage };
}

/** The context as attributes. Its `targetingKey` is an id: it stays out, since ids are hashed elsewhere. */
function read({ targetingKey: _, ...attributes }: EvaluationContext): Json {
  return attributes as Json;
}
