/** What was tracked just before the page goes away still arrives, though the network is slow. */

import { test } from "node:test";

import { useBench, type Visit } from "../support/bench.ts";
import { until, untilEqual } from "../support/until.ts";

const fixture = useBench();

const SLOW = () => ({ passAfterMs: 800 }) as const;
/** Ways to leave; each is done several times, because losing one in five is losing too. */
const ROUNDS = [1, 2, 3, 4, 5];

const LEAVE: Record<string, (visit: Visit) => Promise<unknown>> = {
  "goes to another site": ({ page }) => page.goto("about:blank"),
  "follows a link in the same task": ({ page }) =>
    page.evaluate(`tally.track("link_clicked"); location.href = "about:blank"`).catch(() => undefined),
  "reloads": ({ page }) => page.reload(),
  "closes the tab": ({ page }) => page.close({ runBeforeUnload: true }),
};

for (const [way, leave] of Object.entries(LEAVE)) {
  test(`an event arrives when the visitor tracks it and ${way}`, async () => {
    const visits = await Promise.all(
      ROUNDS.map((round) =>
        fixture.bench.visit({
          name: `leaving-${Object.keys(LEAVE).indexOf(way)}-${round}`,
          script: `tally.track("opened");`,
          behave: SLOW,
        }),
      ),
    );
    for (const visit of visits) {
      await until("the page to have sent", () => visit.proxy.batches[0]);
      await visit.page.evaluate(`tally.track("checkout_started")`);
      await leave(visit);
    }
    const opened = way === "reloads" ? 2 : 1;
    const clicked = way.startsWith("follows") ? { link_clicked: 1 } : {};
    for (const { project } of visits) {
      await untilEqual({ opened, checkout_started: 1, ...clicked }, () =>
        fixture.bench.collector.counts(project),
      );
    }
  });
}

test("an event arrives when the tab is closed while the package still loads", async () => {
  const { bench } = fixture;
  const visit = await bench.visit({ name: "closed-early", behave: SLOW });
  // The module comes late: after its page is gone.
  await visit.context.route("**/*.wasm", () => undefined);
  const page = await visit.context.newPage();
  await page.goto(bench.site.page("/closed-early.html"));
  await page.waitForFunction("window.started");
  await page.evaluate(`tally.track("opened")`);
  await page.close({ runBeforeUnload: true });
  await untilEqual({ opened: 1 }, () => bench.collector.counts(visit.project));
});
