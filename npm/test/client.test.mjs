/** `createClient<Events>()`: what compiles, and what does not, each for the right reason. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { built } from "./built.mjs";

const folder = mkdtempSync(join(tmpdir(), "tallymark-client-"));
after(() => rmSync(folder, { recursive: true }));

const SHARED = `
import { createClient } from ${JSON.stringify(fileURLToPath(built("index.js")))};
interface Events {
  checkout_started: { plan: "solo" | "team"; seats: number; coupon?: string };
  signed_out: {};
  invited: { by?: string };
}
const { track, conversion, page } = createClient<Events>();
`;

/** Name, code, and the error it has to be. */
const BAD = [
  ["a name that was not declared", `track("checkout_begun", { plan: "team", seats: 1 });`, /TS2345.*"checkout_begun"/],
  ["a property that is missing", `track("checkout_started", { plan: "team" });`, /TS2741.*'seats' is missing/],
  ["properties that are missing", `track("checkout_started");`, /TS2554/],
  ["a value that is not one of them", `track("checkout_started", { plan: "big", seats: 1 });`, /TS2322.*"big"/],
  ["a value of another type", `track("checkout_started", { plan: "team", seats: "1" });`, /TS2322.*'string'.*'number'/],
  ["a property that was not declared", `track("signed_out", { why: "late" });`, /TS2322.*'string'.*'never'|TS2353.*'why'/],
  ["an undeclared goal", `conversion("bought");`, /TS2345.*"bought"/],
  ["a value that no event can carry", `createClient<{ saved: { how: () => void } }>();`, /TS2344.*'saved'|TS2344[\s\S]*\(\) => void/],
  ["a name of ours", `createClient<{ opened: {}; $pageview: {} }>().track("$pageview");`, /TS2345.*"\$pageview"/],
];

const GOOD = `
track("checkout_started", { plan: "team", seats: 5 });
track("checkout_started", { plan: "solo", seats: 1, coupon: "x" });
track("signed_out");
track("signed_out", {});
track("invited");
track("invited", { by: "ada" });
conversion("checkout_started", { value: 5, currency: "EUR", plan: "team" });
page({ section: "shop" });
type Listed = { opened: { at: Date; parts: readonly string[]; more: { deep: true } } };
createClient<Listed>().track("opened", { at: new Date(), parts: ["a"], more: { deep: true } });
`;

const name = (index) => `bad${index}.ts`;
writeFileSync(join(folder, "good.ts"), SHARED + GOOD);
BAD.forEach(([, code], index) => writeFileSync(join(folder, name(index)), SHARED + code));
const tsc = fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url));
const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--types", "", "--pretty", "false"];
const files = ["good.ts", ...BAD.map((_, index) => name(index))];
const { stdout } = spawnSync(tsc, [...options, ...files], { cwd: folder, encoding: "utf8" });
/** What was said about each file; lines that follow an error belong to it. */
const said = Object.fromEntries(files.map((file) => [file, ""]));
let about = "";
for (const line of stdout.split("\n")) {
  about = /^(\w+\.ts)\(/.exec(line)?.[1] ?? about;
  if (about in said) said[about] += `${line}\n`;
}

test("what was declared compiles", () => assert.equal(said["good.ts"], ""));

for (const [index, [what, , error]] of BAD.entries()) {
  test(`${what} does not compile`, () => {
    assert.match(said[name(index)], error);
    assert.equal(said[name(index)].match(/error TS/g).length, 1, said[name(index)]);
  });
}
