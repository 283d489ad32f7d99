/**
 * React: `@tallymark/web/react`, for React 18 and newer.
 *
 * The client is one per page, so nothing here is needed to call `track`. These pieces start it, follow
 * what changes, and record what is on screen. On a server they render what somebody outside of every
 * experiment sees, and record nothing. What is not imported costs nothing.
 *
 * @packageDocumentation
 */

import {
  Component,
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useSyncExternalStore,
} from "react";

import { exposeWhenSeen, onChange, value, variant } from "./experiments.js";
import { init, page, track } from "./index.js";
import type { Options, Properties } from "./types.js";

const Common = createContext<Properties>({});

/** Of {@link TallymarkProvider}. */
export interface ProviderProps {
  /** Starts the client, as `init` does. Without them nothing is started here. */
  options?: Options;
  /** Added to the events of {@link useTrack} below; providers inside each other add theirs. */
  properties?: Properties;
  children?: ReactNode;
}

/** Starts the client once the page is shown, and says what the events below it have in common. */
export function TallymarkProvider({ options, properties, children }: ProviderProps): ReactNode {
  const above = useContext(Common);
  const isStarted = useRef(false);
  useEffect(() => {
    // Under StrictMode effects run twice.
    if (options && !isStarted.current) init(options);
    isStarted.current = true;
  }, []);
  return createElement(Common.Provider, { value: properties ? { ...above, ...properties } : above }, children);
}

/** `track` with the properties of the providers around. The function stays the same between renders. */
export function useTrack(): (name: string, properties?: Properties) => void {
  const common = useRef<Properties>({});
  common.current = useContext(Common);
  return useCallback((name, properties) => track(name, { ...common.current, ...properties }), []);
}

/** Records a page view whenever `path` changes, for apps that start with `autoPage: false`. */
export function usePageView(path: string, properties?: Properties): void {
  const last = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (last.current !== path) page(properties);
    last.current = path;
  }, [path]);
}

/** The visitor's variant of an experiment; `null` outside of it, on a server, and until it is known. */
export function useVariant(experiment: string): string | null {
  return useSyncExternalStore(onChange, () => variant(experiment), () => null);
}

/** What the visitor gets of a flag; `fallback` on a server and until it is known. */
export function useFlag<T>(flag: string, fallback: T): T {
  // One that is made in every render would look like a change.
  const stable = useRef(fallback).current;
  return useSyncExternalStore(onChange, () => value(flag, stable), () => stable);
}

/** A `ref` for the element that shows a variant: the exposure is recorded once half of it is on screen. */
export function useExposure(experiment: string): (element: Element | null) => void {
  const stop = useRef<(() => void) | undefined>(undefined);
  return useCallback(
    (element) => {
      stop.current?.();
      stop.current = element ? exposeWhenSeen(element, experiment) : undefined;
    },
    [experiment],
  );
}

/** Of {@link Experiment}. */
export interface ExperimentProps {
  /** Its key. */
  name: string;
  /** What each variant shows; `control` is also what anybody outside of the experiment sees. */
  variants: { readonly [variant: string]: ReactNode } & { readonly control: ReactNode };
}

/** Shows the visitor's variant and records the exposure when it is seen, in a `<div>` around it. */
export function Experiment({ name, variants }: ExperimentProps): ReactNode {
  const found = useVariant(name);
  const seen = useExposure(name);
  return createElement("div", { ref: seen, "data-tm-variant": found ?? undefined }, variants[found ?? "control"] ?? variants.control);
}

/** Of {@link ErrorBoundary}. */
export interface BoundaryProps {
  /** Shown in place of what failed; a function also gets a way to try again. */
  fallback?: ReactNode | ((error: unknown, retry: () => void) => ReactNode);
  /** Which part of the page it is; the `component` of the event. */
  name?: string;
  /** Records the error. The default records its name only: messages may hold what visitors typed. */
  capture?: (error: unknown, name: string | undefined) => void;
  children?: ReactNode;
}

/** Catches what fails while its children render, records a `$error` and shows the fallback. */
export class ErrorBoundary extends Component<BoundaryProps, { failed?: { error: unknown } }> {
  override state: { failed?: { error: unknown } } = {};

  static getDerivedStateFromError(error: unknown): { failed: { error: unknown } } {
    return { failed: { error } };
  }

  override componentDidCatch(error: unknown): void {
    const { capture = record, name } = this.props;
    capture(error, name);
  }

  override render(): ReactNode {
    const { failed } = this.state;
    const { children, fallback = null } = this.props;
    if (!failed) return children;
    const retry = () => this.setState({ failed: undefined } as never);
    return typeof fallback === "function" ? fallback(failed.error, retry) : fallback;
  }
}

function record(error: unknown, component: string | undefined): void {
  const error_name = error instanceof Error ? error.name : typeof error;
  track("$error", { error_name, level: "error", handled: true, component });
}
