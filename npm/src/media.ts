/** How much of a video or a sound was played: what the page's listener or viewer really had of it. */

/** One video or sound, from one view to the next. */
export class Media {
  private playedMs = 0;
  private sinceMs: number | undefined;
  private readonly listening = new AbortController();

  constructor(
    private readonly element: HTMLMediaElement,
    changed: () => void,
  ) {
    const { signal } = this.listening;
    const look = (): void => {
      this.look();
      changed();
    };
    for (const name of ["playing", "pause", "waiting", "ended", "seeking", "emptied"]) {
      element.addEventListener(name, look, { signal });
    }
    this.look();
  }

  get isPlaying(): boolean {
    const { paused, ended, seeking, readyState } = this.element;
    return !paused && !ended && !seeking && readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  /** What was played so far. Parts that were played twice complete nothing, and a jump to the end neither. */
  measured(): { completion: number; played_ms: number; duration_ms?: number } {
    this.look();
    const { played, duration, ended } = this.element;
    let seconds = 0;
    for (let i = 0; i < played.length; i++) seconds += played.end(i) - played.start(i);
    // A live stream has no end.
    const isKnown = duration > 0 && duration < Infinity;
    const share = isKnown ? seconds / duration : 0;
    // Browsers stop a little before the end.
    const isWhole = ended && duration - seconds < 0.5;
    return {
      completion: isWhole ? 1 : Math.min(1, Math.round(share * 100) / 100),
      played_ms: Math.round(this.playedMs),
      ...(isKnown && { duration_ms: Math.round(duration * 1_000) }),
    };
  }

  /** What comes now belongs to another view. */
  begin(): void {
    this.playedMs = 0;
  }

  stop(): void {
    this.listening.abort();
  }

  private look(): void {
    const now = performance.now();
    if (this.sinceMs !== undefined) this.playedMs += now - this.sinceMs;
    this.sinceMs = this.isPlaying ? now : undefined;
  }
}
