/**
 * The install button: shown when the browser offers to install, gone when it is done.
 *
 * The analytics package listens to the same browser events by itself; nothing is counted here.
 */

interface InstallPrompt extends Event {
  prompt(): Promise<void>;
  readonly userChoice: Promise<{ outcome: "accepted" | "dismissed" }>;
}

let offered: InstallPrompt | null = null;

/** Listen for the browser's offer; `changed` is called when {@link canInstall} may differ. */
export function watchInstall(changed: () => void): void {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault(); // we show our own button instead of the browser's bar
    offered = event as InstallPrompt;
    changed();
  });
  addEventListener("appinstalled", () => {
    offered = null;
    changed();
  });
}

/** Whether the browser would install the shop now. */
export function canInstall(): boolean {
  return offered !== null;
}

/** Ask the visitor. An offer can be used once; the browser makes another one if it likes. */
export async function install(): Promise<void> {
  const prompt = offered;
  offered = null;
  await prompt?.prompt();
}
