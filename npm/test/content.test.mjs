/** When content was seen, for how long and how far: exact times, on a page made of rectangles. */

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { observedSources } from "./built.mjs";

const SCREEN = { width: 1000, height: 500 };
const listeners = new Map();
const page = { visibilityState: "visible", isFocused: true, scrollY: 0 };
let mutated;

globalThis.window = globalThis;
globalThis.innerWidth = SCREEN.width;
globalThis.innerHeight = SCREEN.height;
Object.defineProperty(globalThis, "scrollY", { get: () => page.scrollY });
globalThis.addEventListener = (name, act) => listeners.set(name, [...(listeners.get(name) ?? []), act]);
globalThis.HTMLMediaElement = class extends EventTarget {
  static HAVE_FUTURE_DATA = 3;
};
globalThis.MutationObserver = class {
  constructor(act) {
    mutated = act;
  }
  observe() {}
  disconnect() {}
};
/** Says at once, and once, what is on screen: the rest is told by scrolling. */
globalThis.IntersectionObserver = class {
  constructor(act) {
    this.act = act;
  }
  observe(target) {
    this.act([{ target, isIntersecting: true }]);
  }
  unobserve() {}
  disconnect() {}
};
globalThis.requestAnimationFrame = (act) => act();
globalThis.document = {
  get visibilityState() {
    return page.visibilityState;
  },
  hasFocus: () => page.isFocused,
  addEventListener: globalThis.addEventListener,
  documentElement: { scrollHeight: 2_000 },
};
const happen = (name) => (listeners.get(name) ?? []).forEach((act) => act({ type: name }));

/** A box as wide as the screen, at this place of the page. */
const box = (top, height) => ({
  isConnected: true,
  tagName: "DIV",
  getBoundingClientRect: () => ({
    top: top - page.scrollY,
    bottom: top + height - page.scrollY,
    left: 0,
    right: SCREEN.width,
    width: SCREEN.width,
    height,
  }),
});
const scroll = (to) => {
  page.scrollY = to;
  happen("scroll");
};

let calls;
let watchContent;
let nowMs;
mock.timers.enable({ apis: ["setTimeout"] });
const pass = (ms) => {
  nowMs += ms;
  mock.timers.tick(ms);
};
performance.now = () => nowMs;

beforeEach(async () => {
  listeners.clear();
  Object.assign(page, { visibilityState: "visible", isFocused: true, scrollY: 0 });
  nowMs = 10_000;
  const { module, calls: made } = await observedSources("content");
  ({ watchContent } = module);
  calls = made;
});
const views = () => calls.map(([, view]) => view);
const A = { id: "a", type: "article" };

for (const [what, ms, count] of [["a millisecond less than a second", 999, 0], ["exactly a second", 1_000, 1]]) {
  test(`content that was on screen for ${what} has ${count} views`, () => {
    const stop = watchContent(box(0, 100), A);
    pass(ms);
    stop();
    assert.equal(views().length, count);
  });
}

for (const [what, top, height, count] of [
  ["half of it", 450, 100, 1],
  ["a little less than half of it", 451, 100, 0],
  ["half of the screen", 250, 5_000, 1],
  ["a little less than half of the screen", 251, 5_000, 0],
]) {
  test(`content of which ${what} is on screen has ${count} views`, () => {
    const stop = watchContent(box(top, height), A);
    pass(2_000);
    stop();
    assert.equal(views().length, count);
  });
}

test("two glimpses make no view", () => {
  const stop = watchContent(box(0, 400), A);
  pass(900);
  scroll(500);
  pass(100);
  scroll(0);
  pass(900);
  stop();
  assert.deepEqual(views(), []);
});

test("what counts as seen can be said", () => {
  const stop = watchContent(box(400, 100), A, { visible: 1, forMs: 200 });
  pass(200);
  stop();
  assert.equal(views().length, 1);
});

test("time counts while it is on screen and the window has the focus", () => {
  const stop = watchContent(box(0, 400), A);
  pass(1_500);
  page.isFocused = false;
  happen("blur");
  pass(5_000);
  page.isFocused = true;
  happen("focus");
  pass(300);
  scroll(500);
  pass(7_000);
  scroll(100);
  pass(200);
  stop();
  assert.deepEqual(views(), [{ ...A, engaged_ms: 2_000, scroll_depth: 0.3, completion: 1 }]);
});

test("completion is how far it was scrolled through, at best", () => {
  const stop = watchContent(box(100, 1_600), A);
  pass(1_000);
  scroll(800);
  scroll(0);
  stop();
  assert.deepEqual(views(), [{ ...A, engaged_ms: 1_000, scroll_depth: 0.65, completion: 0.75 }]);
});

test("a view ends when the page is hidden; coming back for a second makes another", () => {
  const stop = watchContent(box(0, 400), A);
  const hide = () => {
    page.visibilityState = "hidden";
    happen("visibilitychange");
    happen("pagehide");
  };
  const show = () => {
    page.visibilityState = "visible";
    happen("visibilitychange");
  };
  pass(1_200);
  hide();
  pass(60_000);
  show();
  pass(999);
  hide();
  show();
  pass(1_000);
  stop();
  assert.deepEqual(views().map(({ engaged_ms }) => engaged_ms), [1_200, 1_000]);
});

test("an element that leaves the page ends its view, with what was seen until then", () => {
  const element = box(0, 400);
  watchContent(element, A);
  pass(1_000);
  element.isConnected = false;
  mutated([]);
  mutated([]);
  assert.deepEqual(views(), [{ ...A, engaged_ms: 1_000, scroll_depth: 0.25, completion: 1 }]);
});

/** A sound of ten seconds. */
function sound() {
  const element = Object.assign(new HTMLMediaElement(), box(0, 0), { tagName: "AUDIO" });
  Object.assign(element, { paused: true, ended: false, seeking: false, readyState: 4, duration: 10, ranges: [] });
  element.played = { get length() { return element.ranges.length; }, start: (i) => element.ranges[i][0], end: (i) => element.ranges[i][1] };
  element.tell = (name, changes) => {
    Object.assign(element, changes);
    element.dispatchEvent(new Event(name));
  };
  return element;
}

test("a sound is seen while it plays, and completed by what was played, once each", () => {
  const element = sound();
  const stop = watchContent(element, { id: "s", type: "podcast" });
  pass(5_000);
  element.tell("playing", { paused: false });
  pass(4_000);
  element.tell("pause", { paused: true, ranges: [[0, 4]] });
  pass(9_000);
  // The same four seconds again.
  element.tell("playing", { paused: false });
  pass(4_000);
  element.tell("pause", { paused: true });
  stop();
  assert.deepEqual(views(), [
    { id: "s", type: "podcast", engaged_ms: 8_000, scroll_depth: 0.25, completion: 0.4, played_ms: 8_000, duration_ms: 10_000 },
  ]);
});

for (const [what, ranges, ended, want] of [
  ["a jump to the end", [[0, 1], [9, 10]], true, 0.2],
  ["all of it, but for the last moment", [[0, 9.8]], true, 1],
  ["all of it, but for more than half a second", [[0, 9.4]], true, 0.94],
  ["nearly all of it, without its end", [[0, 9.8]], false, 0.98],
]) {
  test(`${what} completes ${want}`, () => {
    const element = sound();
    const stop = watchContent(element, { id: "s", type: "podcast" });
    element.tell("playing", { paused: false });
    pass(1_000);
    element.tell("pause", { paused: true, ended, ranges });
    stop();
    assert.equal(views()[0].completion, want);
  });
}

test("a sound goes on while the page is hidden; nobody is engaged then", () => {
  const element = sound();
  const stop = watchContent(element, { id: "s", type: "podcast" });
  element.tell("playing", { paused: false });
  pass(2_000);
  page.visibilityState = "hidden";
  happen("visibilitychange");
  pass(3_000);
  element.tell("pause", { paused: true });
  stop();
  assert.deepEqual(views().map(({ engaged_ms, played_ms }) => [engaged_ms, played_ms]), [[2_000, 2_000], [0, 3_000]]);
});
