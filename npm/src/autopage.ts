/**
 * Page views of single-page applications: one now, and one whenever the path or the query changes.
 *
 * The Navigation API tells of every change from the first moment on. Where a browser has none, the core
 * looks when it is loaded and from then on (`watchHistory`): the page's first moments need not be shorter
 * for everybody than they are for old browsers.
 */

import { shortened } from "./row.js";

type Navigating = { navigation?: EventTarget };

/** Calls `shown` now and after each change of address. A change of the fragment alone is none, unless it is
 * a route. Gives the function that looks whether there was one. */
export function watchAddress(shown: () => void): () => void {
  let last = "";
  const look = (): void => {
    const now = shortened(location.href);
    // A page loaded ahead of a click is seen when it is clicked, if ever.
    if (now === last || (document as { prerendering?: boolean }).prerendering) return;
    last = now;
    shown();
  };
  (window as Navigating).navigation?.addEventListener("currententrychange", look);
  document.addEventListener("prerenderingchange", look);
  // A page restored from the back/forward cache is seen again.
  addEventListener("pageshow", ({ persisted }) => persisted && shown());
  look();
  return look;
}

/** For browsers without the Navigation API. The page's own calls keep their results and errors. */
export function watchHistory(look: () => void): void {
  if ((window as Navigating).navigation) return;
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (this: History, ...change: Parameters<History["pushState"]>): void {
      original.apply(this, change);
      look();
    };
  }
  addEventListener("popstate", look);
  addEventListener("hashchange", look);
  look();
}
