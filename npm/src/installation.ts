/**
 * The story of an installation: the prompt was shown and answered, the page was installed, it was
 * launched on its own. Browsers without these events (Safari) tell only the last part.
 */

import { displayMode } from "./display.js";
import type { Properties } from "./types.js";

/** Not yet in the DOM library of TypeScript. */
interface InstallPrompt extends Event {
  readonly userChoice: Promise<{ outcome: "accepted" | "dismissed" }>;
}

/** Records what happens from now on, and a launch if this is one. */
export function watchInstallation(record: (name: string, properties: Properties) => void): void {
  addEventListener("beforeinstallprompt", (event) => {
    record("$pwa_prompt", { outcome: "shown" });
    const answer = (event as InstallPrompt).userChoice;
    answer?.then(({ outcome }) => record("$pwa_prompt", { outcome })).catch(() => {});
  });
  addEventListener("appinstalled", () => record("$pwa_install", {}));
  const mode = displayMode();
  if (mode !== "browser" && isFirstPage()) record("$pwa_launch", { display_mode: mode });
}

/** Whether this page began the launch: a link inside the app, or a reload, is no launch. */
function isFirstPage(): boolean {
  const [load] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const reached = load === undefined || load.type === "navigate" || load.type === ("prerender" as string);
  return reached && !document.referrer.startsWith(location.origin);
}
