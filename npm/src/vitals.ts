/**
 * How quick the page is for those who visit it: `@tallymark/web/vitals`. Measured by the library
 * `web-vitals`, which is in this entry.
 *
 * @packageDocumentation
 */

/*! Contains web-vitals, copyright Google LLC, Apache-2.0. */
import { type Metric, onCLS, onFCP, onINP, onLCP, onTTFB } from "web-vitals";

import { quietly, track } from "./index.js";

let isWatching = false;

/**
 * Record `$web_vital` for each of CLS, FCP, INP, LCP and TTFB, once per page: when it is final, which for some is
 * when the page is hidden. `value` is in milliseconds, for CLS without a unit.
 */
export function watchVitals(): void {
  if (typeof window === "undefined" || isWatching) return;
  isWatching = true;
  const record = ({ name, value, rating, navigationType }: Metric): void => {
    track("$web_vital", { metric: name, value: Math.round(value * 1_000) / 1_000, rating, navigation_type: navigationType });
  };
  quietly(() => [onCLS, onFCP, onINP, onLCP, onTTFB].forEach((watch) => watch(record)));
}
