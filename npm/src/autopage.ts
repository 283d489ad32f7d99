/**
 * Page views of single-page applications: one now, and one whenever the path or the query changes.
 *
 * The Navigation API would tell directly, but not every browser has it; wrapping `pushState` and
 * `replaceState` works in all of them, and the page's own calls keep their results and errors.
 */

/** Calls `shown` now and after each change of address. A change of the fragment alone is none, unless it is a route. */
export function watchAddress(shown: () => void): void {
  let last = "";
  const look = (): void => {
    const now = place();
    if (now === last) return;
    last = now;
    shown();
  };
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (this: History, ...change: Parameters<History["pushState"]>): void {
      original.apply(this, change);
      look();
    };
  }
  addEventListener("popstate", look);
  addEventListener("hashchange", look);
  // A page restored from the back/forward cache is seen again.
  addEventListener("pageshow", (event) => {
    if (event.persisted) shown();
  });
  // A page loaded ahead of a click is seen when it is clicked, if ever.
  if ((document as { prerendering?: boolean }).prerendering) {
    document.addEventListener("prerenderingchange", look, { once: true });
  } else {
    look();
  }
}

function place(): string {
  const route = /^#[/!]/.test(location.hash) ? location.hash : "";
  return location.pathname + location.search + route;
}
