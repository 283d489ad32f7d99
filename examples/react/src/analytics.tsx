/**
 * `@tallymark/web` as React likes it: no provider, because the client is one per page anyway.
 *
 * Effects run twice in development under StrictMode. A page view is guarded by its path; an
 * exposure is recorded once by the package.
 */

import { page } from "@tallymark/web";
import { exposure, onChange, variant } from "@tallymark/web/experiments";
import { useEffect, useRef, useState, type ReactNode } from "react";

/** Count a page view whenever `path` changes. */
export function usePageViews(path: string): void {
  const counted = useRef<string | null>(null);
  useEffect(() => {
    if (counted.current === path) return;
    counted.current = path;
    page();
  }, [path]);
}

/** The variant this visitor has; `null` until it is known, or outside of the experiment. */
export function useVariant(experiment: string): string | null {
  const [found, setFound] = useState(() => variant(experiment));
  useEffect(() => {
    const look = () => setFound(variant(experiment));
    look();
    return onChange(look);
  }, [experiment]);
  return found;
}

interface ExperimentProps {
  name: string;
  /** What each variant shows. `control` is also what anybody outside of the test sees. */
  variants: Record<string, ReactNode> & { control: ReactNode };
}

/** Show the visitor's variant, and record the exposure when it stands on the screen. */
export function Experiment({ name, variants }: ExperimentProps) {
  const found = useVariant(name);
  useEffect(() => {
    if (found !== null) exposure(name, found);
  }, [name, found]);
  return variants[found ?? "control"] ?? variants.control;
}
