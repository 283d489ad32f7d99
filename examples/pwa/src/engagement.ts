/**
 * How long something was really looked at, and how far it was read.
 *
 * In: the page's visibility, focus and scroll events. Out: milliseconds and a ratio.
 * Time counts only while the page is visible and its window has the focus.
 */

export class Engagement {
  private engagedMs = 0;
  private since: number | null = null;
  private furthest = 0;
  private readonly listening = new AbortController();

  /** Start measuring `element`; `stop` must be called when it leaves the screen. */
  constructor(private readonly element: Element) {
    const { signal } = this.listening;
    const update = () => this.update();
    document.addEventListener("visibilitychange", update, { signal });
    addEventListener("focus", update, { signal });
    addEventListener("blur", update, { signal });
    addEventListener("scroll", () => this.measureScroll(), { signal, passive: true });
    this.update();
    this.measureScroll();
  }

  /** Stop, while the element is still on screen, and say what was measured. */
  stop(): { engaged_ms: number; completion: number } {
    this.listening.abort();
    this.measureScroll(); // the browser may not have told of the last scroll yet
    this.pause();
    return { engaged_ms: Math.round(this.engagedMs), completion: this.furthest };
  }

  private update(): void {
    if (document.visibilityState === "visible" && document.hasFocus()) {
      this.since ??= performance.now();
    } else {
      this.pause();
    }
  }

  private pause(): void {
    if (this.since !== null) this.engagedMs += performance.now() - this.since;
    this.since = null;
  }

  private measureScroll(): void {
    const { top, height } = this.element.getBoundingClientRect();
    const seen = height > 0 ? (innerHeight - top) / height : 1;
    const ratio = Math.round(Math.min(Math.max(seen, 0), 1) * 100) / 100;
    this.furthest = Math.max(this.furthest, ratio);
  }
}
