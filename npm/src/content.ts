/**
 * What was really looked at, for how long and how far: `@tallymark/web/content`.
 *
 * A view begins when the content was on screen for a second: half of the element, or an element that
 * fills half of the screen. It ends when the element leaves the page, when watching is stopped, or when
 * the page is hidden, and is recorded then, once, with all that was measured. Somebody who comes back and
 * looks on makes another view; times add up.
 *
 * @packageDocumentation
 */

import { contentView, quietly } from "./index.js";
import { Media } from "./media.js";
import type { ContentView } from "./types.js";

export type { ContentView } from "./types.js";

/** When content counts as seen. */
export interface ContentOptions {
  /** How much of it has to be visible, of itself or of the screen, 0 to 1. Default 0.5. */
  visible?: number;
  /** For how long without a break, in milliseconds. Default 1,000. */
  forMs?: number;
}

/** One watched element. */
interface Watched {
  /** It comes to the screen, or is gone from it. */
  near(is: boolean): void;
  /** Looks again: what is on screen, and who is looking. */
  look(): void;
  /** Records the view, if there was one. What comes after is another one. */
  finish(): void;
  stop(): void;
}

/** Elements that are watched, in the order they came. */
const all = new Map<Element, Watched>();
let listening: AbortController | undefined;
/** Tells which ones are worth looking at: a long list is mostly somewhere else. */
let nearing: IntersectionObserver | undefined;
let isLooking = false;

/**
 * Watch an element, or the page: `document.documentElement`.
 *
 * A `video` or `audio` element is seen while it plays, and its completion is how much of it was
 * played; of all other elements it is how far they were scrolled through.
 *
 * @returns The function that ends the view. An element that leaves the page ends it by itself.
 * @example
 * watchContent(article, { id: "a-42", type: "article", owner: "ada", tier: "premium" });
 */
export function watchContent(element: Element, content: ContentView, options: ContentOptions = {}): () => void {
  if (typeof window === "undefined") return () => {};
  const stop = quietly(() => {
    all.get(element)?.stop();
    listen();
    const watched = watch(element, content, options);
    all.set(element, watched);
    nearing?.observe(element);
    return () => quietly(() => watched.stop());
  });
  return stop ?? (() => {});
}

/**
 * Watch every element that says what it is, now and whenever one is added:
 *
 * `<article data-tm-content="a-42" data-tm-type="article" data-tm-owner="ada" data-tm-tier="premium">`
 *
 * @returns The function that ends all of it.
 */
export function watchMarkedContent(options: ContentOptions = {}): () => void {
  if (typeof window === "undefined") return () => {};
  const marked = new WeakMap<Element, string | undefined>();
  const mark = (element: Element): void => {
    const { tmContent: id, tmType: type = "content", tmOwner: owner, tmTier: tier } = (element as HTMLElement).dataset;
    if (all.has(element) && marked.get(element) === id) return;
    marked.set(element, id);
    if (id) watchContent(element, { id, type, ...(owner && { owner }), ...(tier && { tier }) }, options);
    else all.get(element)?.stop();
  };
  const find = (within: ParentNode): void => within.querySelectorAll("[data-tm-content]").forEach(mark);
  const observer = new MutationObserver((changes) =>
    quietly(() => {
      for (const { type, target, addedNodes } of changes) {
        if (type === "attributes") mark(target as Element);
        for (const node of addedNodes) {
          if (!(node instanceof Element)) continue;
          if (node.matches("[data-tm-content]")) mark(node);
          find(node);
        }
      }
    }),
  );
  observer.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-tm-content"] });
  quietly(() => find(document));
  return () => {
    observer.disconnect();
    for (const [element, watched] of all) if (marked.has(element)) watched.stop();
  };
}

function watch(element: Element, content: ContentView, { visible = 0.5, forMs = 1_000 }: ContentOptions): Watched {
  const media = element instanceof HTMLMediaElement ? new Media(element, () => look()) : undefined;
  const isSound = element.tagName === "AUDIO";
  let isNear = false;
  let isSeen = false;
  /** Since when it is on screen without a break, and since when somebody is looking as well. */
  let shownMs: number | undefined;
  let engagedSinceMs: number | undefined;
  let engagedMs = 0;
  let completion = 0;
  let depth = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function look(): void {
    // Sound plays wherever its element is.
    if (!isNear && shownMs === undefined && !media?.isPlaying) return;
    const now = performance.now();
    // Exactly one second is enough; the timer may be late.
    if (shownMs !== undefined && now - shownMs >= forMs) isSeen = true;
    const isAwake = document.visibilityState === "visible";
    const { top, height, shown } = place(element);
    const isPlaying = !media || media.isPlaying;
    const isOn = element.isConnected && isPlaying && (isSound || (isAwake && shown >= visible));
    if (isOn) {
      shownMs ??= now;
      if (!isSeen) timer ??= setTimeout(again, shownMs + forMs - now);
      if (!media && height > 0) completion = Math.max(completion, Math.min(1, (innerHeight - top) / height));
      depth = Math.max(depth, pageDepth());
    } else {
      shownMs = undefined;
      clearTimeout(timer);
      timer = undefined;
    }
    const isEngaged = isOn && isAwake && document.hasFocus();
    if (engagedSinceMs !== undefined) engagedMs += now - engagedSinceMs;
    engagedSinceMs = isEngaged ? now : undefined;
  }

  function again(): void {
    timer = undefined;
    quietly(() => look());
  }

  function finish(): void {
    look();
    if (isSeen) {
      const measured = media?.measured() ?? { completion: ratio(completion) };
      contentView({ ...content, engaged_ms: Math.round(engagedMs), scroll_depth: ratio(depth), ...measured });
    }
    isSeen = false;
    engagedMs = 0;
    media?.begin();
    // Somebody who comes back has to look for a second again; what still plays is the next view.
    shownMs = undefined;
    clearTimeout(timer);
    timer = undefined;
    look();
  }

  function stop(): void {
    if (all.get(element) !== watched) return;
    finish();
    media?.stop();
    clearTimeout(timer);
    all.delete(element);
    nearing?.unobserve(element);
    if (all.size === 0) {
      listening?.abort();
      listening = undefined;
    }
  }

  const near = (is: boolean): void => {
    isNear = is;
    look();
  };
  const watched: Watched = { near, look, finish, stop };
  return watched;
}

/** Where an element is, and how much of it is on screen: of itself or of the screen, whichever is more. */
function place(element: Element): { top: number; height: number; shown: number } {
  const { top, bottom, left, right, height, width } = element.getBoundingClientRect();
  const inside = Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)) * Math.max(0, Math.min(right, innerWidth) - Math.max(left, 0));
  const shown = inside / Math.min(height * width, innerHeight * innerWidth);
  return { top, height, shown: shown || 0 };
}

/** How far down the page is on screen. */
function pageDepth(): number {
  return Math.min(1, (scrollY + innerHeight) / document.documentElement.scrollHeight);
}

/** Two digits are enough, and the end is the end: browsers scroll to fractions of a pixel. */
function ratio(value: number): number {
  return Math.round(value * 100) / 100;
}

/** One set of listeners for all elements, while there are any. */
function listen(): void {
  if (listening) return;
  listening = new AbortController();
  const { signal } = listening;
  const look = (): void => {
    quietly(() => all.forEach((watched) => watched.look()));
  };
  /** Looks in the next frame, when the browser has laid the page out anyway. */
  const soon = (): void => {
    if (isLooking) return;
    isLooking = true;
    requestAnimationFrame(() => {
      isLooking = false;
      look();
    });
  };
  const end = (): void => {
    quietly(() => all.forEach((watched) => watched.finish()));
  };
  // Capturing, so that views are recorded before the core sends what it has.
  const early = { signal, capture: true };
  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? end() : look()), early);
  addEventListener("pagehide", end, early);
  addEventListener("pageshow", look, { signal });
  addEventListener("focus", look, { signal });
  addEventListener("blur", look, { signal });
  // Scrolling does not bubble: capturing hears of boxes that scroll inside of the page.
  addEventListener("scroll", soon, { signal, capture: true, passive: true });
  addEventListener("resize", soon, { signal });
  nearing = new IntersectionObserver((entries) =>
    quietly(() => entries.forEach(({ target, isIntersecting }) => all.get(target)?.near(isIntersecting))),
  );
  // What is added or removed moves the rest; what left the page is over.
  const observer = new MutationObserver(() =>
    quietly(() => {
      for (const [element, watched] of all) if (!element.isConnected) watched.stop();
      if (all.size > 0) soon();
    }),
  );
  observer.observe(document, { subtree: true, childList: true });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    nearing?.disconnect();
  });
}
