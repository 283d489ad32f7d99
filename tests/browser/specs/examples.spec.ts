/** What holds for the examples as projects: they install anywhere, and they install our package. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { ROOT } from "../support/bench.ts";

interface Lock {
  packages: Record<string, { resolved?: string; integrity?: string; version?: string }>;
}

for (const project of ["examples/pwa", "examples/react", "tests/browser", "tests/bundlers"]) {
  const read = (file: string) => JSON.parse(readFileSync(join(ROOT, project, file), "utf8"));

  test(`${project} locks versions and checksums, and no machine they came from`, () => {
    const { packages } = read("package-lock.json") as Lock;
    for (const [path, { resolved, integrity }] of Object.entries(packages)) {
      if (path === "") continue;
      if (path.startsWith("node_modules/@tallymark/")) {
        assert.match(resolved ?? "", /^file:\.\.\/\.\.\/npm\/.*tallymark-/);
        const advice = "is packed anew by every build: delete its `integrity` from the lock file";
        assert.equal(integrity, undefined, `${path} ${advice}`);
      } else {
        assert.equal(resolved, undefined, `${path} names a registry`);
        assert.match(integrity ?? "", /^sha512-/, `${path} has no checksum`);
      }
    }
  });

  test(`${project} uses the package as it is packed now`, () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "npm", "package.json"), "utf8"));
    const wanted = `file:../../npm/tallymark-web-${version}.tgz`;
    assert.equal(read("package.json").dependencies["@tallymark/web"], wanted);
  });
}
