/** What every page does: record an event, and ask a flag that needs the module for flags. */

import { init, ready, track } from "@tallymark/web";
import { start, value } from "@tallymark/web/experiments";

/** Whoever opens the page says where it sends. */
export function settings() {
  const { key, salt, endpoint } = Object.fromEntries(new URLSearchParams(location.search));
  return { key, salt, endpoint, mode: "full" };
}

/** Versions are compared by the module. */
const NEEDS_MODULE = {
  features: { modern: { defaultValue: false, rules: [{ force: true, condition: { app: { $vgte: "1.10.0" } } }] } },
};

export async function run(tool) {
  if (!window.isStarted) init(settings());
  track("built", { tool });
  const { key, endpoint } = settings();
  const isReady = await ready();
  const isKnown = await start({ key, endpoint, mode: "full", document: NEEDS_MODULE, attributes: { app: "1.12.0" } });
  window.result = { isReady, isKnown, modern: value("modern", false) };
}
