/** What a page is shown on. */

/** Not yet in the library of TypeScript. */
type Zoned = { Temporal?: { Now: { timeZoneId(): string } } };

/** For contexts. A page may have taken some of it away: then that is left out. */
export function shownOn(): object {
  const of = <T>(look: () => T): T | undefined => {
    try {
      return look();
    } catch {
      return undefined;
    }
  };
  return {
    language: navigator.language,
    // The first formatter of a page takes longer than anything else here; what is asked before it has the answer at hand.
    tz: of(() => (globalThis as Zoned).Temporal?.Now.timeZoneId() ?? Intl.DateTimeFormat().resolvedOptions().timeZone),
    screen: of(() => [screen.width, screen.height]),
    display_mode: of(displayMode),
  };
}

/** How the page is shown; `browser` for an ordinary tab. */
export function displayMode(): string {
  const modes = ["standalone", "minimal-ui", "window-controls-overlay", "fullscreen"];
  const shown = modes.find((mode) => matchMedia(`(display-mode: ${mode})`).matches);
  // Safari on iOS told so before it knew display modes.
  return shown ?? ((navigator as { standalone?: boolean }).standalone ? "standalone" : "browser");
}
