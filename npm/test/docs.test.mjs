/** What is written about the packages is what they are: the reference, and the calls that migration guides name. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { exported, pages } from "../reference.mjs";

const NPM = fileURLToPath(new URL("../", import.meta.url));
const DOCS = join(NPM, "..", "docs");

for (const [name, text] of Object.entries(pages())) {
  test(`docs/reference/${name} is made of the types as they are now`, () => {
    assert.equal(readFileSync(join(DOCS, "reference", name), "utf8"), text, "run `node npm/reference.mjs`");
  });
}

/** Functions by entry point; of the client for servers, its methods. */
function functions() {
  const found = new Map();
  for (const folder of ["", "server"]) {
    const { name, exports } = JSON.parse(readFileSync(join(NPM, folder, "package.json"), "utf8"));
    for (const [path, { types }] of Object.entries(exports)) {
      if (!types) continue;
      const all = exported(join(NPM, folder, types));
      const client = all.find((one) => one.name === "Client")?.rest ?? "";
      const methods = [...client.matchAll(/^ {4}(\w+)(?:<\w+>)?\(/gm)].map(([, method]) => method);
      found.set(name + path.slice(1), new Set([...all.map((one) => one.name), ...methods]));
    }
  }
  return found;
}

/** The right side of a guide's table: calls, and the entry point they are of. */
function calls(guide) {
  const rows = readFileSync(join(DOCS, "migrate", guide), "utf8").matchAll(/^\| .* \| (.*) \|$/gm);
  return [...rows].slice(1).flatMap(([, right]) => {
    const from = /`(@tallymark\/[\w/]+)`/.exec(right)?.[1];
    const named = [...right.matchAll(/`(?:(\w+)\(|((?:use|Tally)\w+)(?:\(\))?`)/g)].map(([, call, piece]) => call ?? piece);
    return named.map((name) => ({ name, from }));
  });
}

const guides = readdirSync(join(DOCS, "migrate")).filter((file) => file !== "README.md");

test("there is a guide for each of eleven products, and the list names them", () => {
  assert.equal(guides.length, 11);
  const list = readFileSync(join(DOCS, "migrate", "README.md"), "utf8");
  for (const guide of guides) assert.ok(list.includes(`](${guide})`), guide);
});

for (const guide of guides) {
  test(`every call that docs/migrate/${guide} names is there`, () => {
    const all = functions();
    const named = calls(guide);
    assert.ok(named.length >= 3, `only ${named.length} calls were found`);
    for (const { name, from } of named) {
      const places = from ? [from] : ["@tallymark/web", "@tallymark/web/experiments", "@tallymark/web/react"];
      assert.ok(places.every((place) => all.has(place)), `${from} is no entry point`);
      assert.ok(places.some((place) => all.get(place).has(name)), `${name} is not in ${places}`);
    }
  });
}
