/** The property guard: what is hidden, and that whatever is hidden is suspected first. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { built, sources, vectors } from "./built.mjs";

const { texts, named, names, kept } = vectors("guard");
const { guard } = await import(built("guard.js"));
const { isSuspect } = await sources("suspect");

/** What is left of properties, and what was found in them. */
function cleaned(props) {
  const found = [];
  const clean = guard(structuredClone(props), (what, name) => found.push([what, name]));
  assert.deepEqual(guard(structuredClone(clean), () => {}), clean, "a second time changes more");
  return { clean, found };
}

const CASES = [
  ...texts.map(([text, want]) => [{ page: text }, { page: want }]),
  ...named.map(([name, value, want]) => [{ [name]: value }, { [name]: want }]),
  ...names.map(([name, want]) => [{ [name]: 1 }, { [want]: 1 }]),
];

for (const [props, want] of CASES) {
  test(`of ${JSON.stringify(props)} stays ${JSON.stringify(want)}`, () => {
    const { clean, found } = cleaned(props);
    assert.deepEqual(clean, want);
    const isChanged = JSON.stringify(clean) !== JSON.stringify(props);
    assert.equal(found.length > 0, isChanged);
    if (isChanged) assert.ok(isSuspect(JSON.stringify({ name: "opened", props, address: "https://shop.example/" })));
  });
}

test("whatever is hidden is suspected, also in the middle of a text, at the beginning of a line, in quotes", () => {
  for (const [text] of texts) {
    for (const [before, after] of [["", ""], ["x ", " x"], ["one\ntwo\n", "\n"], ["a\t", "\tb"], ['say "', '"'], ["C:\\", "\\"], ["\u0001", ""], ["[card]", "[phone]"], ["(", ")"]]) {
      const props = { page: before + text + after };
      const { found } = cleaned(props);
      if (found.length > 0) assert.ok(isSuspect(JSON.stringify({ name: "opened", props, address: "https://shop.example/" })), JSON.stringify(props));
    }
  }
});

test("what the vectors keep is kept", () => {
  for (const [name, value] of kept) {
    assert.deepEqual(cleaned({ [name]: value }), { clean: { [name]: value }, found: [] });
  }
});

test("what was found is told by its kind and its property", () => {
  const { found } = cleaned({ contact: { mail: "ann@example.org" }, token: "abc", list: ["+49 151 12345678"] });
  assert.deepEqual(found, [["email", "mail"], ["secret", "token"], ["phone", "list"]]);
});

test("an ordinary event is not suspected", () => {
  const usual = [
    { plan: "team", seats: 5, value: 29.99, is_new: true },
    { order: "01a20217-218f-7da0-9d12-b3f82d8397c8", at: 1795331401767, day: "2026-11-26" },
    { title: "A keyjack\nand a heyjude", note: "C:\\new\\report" },
    { title: "How to fold a sheet", path: "/journal/how-to-fold-a-sheet", share: "12 %" },
  ];
  for (const props of usual) {
    assert.ok(!isSuspect(JSON.stringify({ name: "opened", props, address: "https://shop.example/?utm_source=news" })));
  }
});

test("no text holds up a page", () => {
  const long = ["a", "a-", "a@", "a.", "1 ", "+1", "%40", "token", "4111 ", "x=", "12 34-"].map((part) => part.repeat(32_000 / part.length));
  for (const text of [...long, `x@${"a.".repeat(16_000)}`]) {
    const began = performance.now();
    guard({ text }, () => {});
    assert.ok(performance.now() - began < 250, `${text.slice(0, 8)}… took ${performance.now() - began} ms`);
  }
});
