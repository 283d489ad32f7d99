/** Clicks, forms, downloads and ways out: what is recorded without a call, and what never is. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { flush, useBench } from "../support/bench.ts";
import { untilEqual } from "../support/until.ts";

const fixture = useBench();

const SECRETS = ["typed-secret", "picked-secret", "hidden-secret", "written-secret", "masked-secret"];

const BODY = `
<button id="plain" name="buy"><b>Buy of ada@example.org</b></button>
<button id="named" data-tm-name="cta" data-tm-event="plan_chosen" data-tm-prop-plan="team" data-tm-prop-seat-count="5">Choose</button>
<div data-tm-ignore><button id="ignored">No</button></div>
<div id="nothing">just text</div>
<button id="masked">Pay <span data-tm-mask>masked-secret</span></button>
<a id="file" href="/files/price%20list.pdf?token=SECRET">Prices</a>
<a id="saved" download href="/export">Export</a>
<a id="out" href="https://elsewhere.example/there?token=SECRET#x">Elsewhere</a>
<a id="inside" href="#inside">Inside</a>
<a id="mail" href="mailto:ada@example.org">Write</a>
<form id="signup" name="signup"><input name="elements" value=""><input type="password" name="pass">
  <input type="hidden" name="h" value="hidden-secret"><select name="s"><option>picked-secret</option></select>
  <textarea name="t"></textarea><button id="send">Send</button></form>
<div id="editable" role="button" contenteditable>written-secret</div>`;

/** Clicks everything; pages stay where they are. */
const CLICKS = `
  addEventListener("click", (event) => event.preventDefault());
  addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["plain", "named", "ignored", "nothing", "masked", "file", "saved", "out", "inside", "mail", "editable"]) {
    document.getElementById(id).dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, composed: true }));
  }
  document.getElementById("out").dispatchEvent(new MouseEvent("auxclick", { bubbles: true, button: 1 }));
  document.getElementById("out").dispatchEvent(new MouseEvent("auxclick", { bubbles: true, button: 2 }));
  const form = document.getElementById("signup");
  form.querySelectorAll("input:not([type=hidden]),textarea").forEach((field) => { field.value = "typed-secret"; });
  form.requestSubmit();`;

async function recorded(name: string, options: string): Promise<unknown[]> {
  const { collector } = fixture.bench;
  const { page, project, proxy, errors } = await fixture.bench.visit({
    name,
    bundle: "measures",
    body: BODY,
    script: `const stop = measures.autocapture.autocapture(${options}); { ${CLICKS} } stop(); { ${CLICKS} } tally.track("end");`,
  });
  await flush(page);
  await untilEqual({ end: 1 }, () => collector.counts(project, "end"));
  const text = proxy.batches.map(({ text }) => text).join();
  for (const secret of [...SECRETS, "ada@", "SECRET"]) assert.ok(!text.includes(secret), `${secret} was sent`);
  assert.deepEqual(errors, []);
  const sent = [...proxy.sent()].sort((a, b) => a.n - b.n);
  return sent.slice(0, -1).map(({ name, props }) => [name, props]);
}

test("elements are told by what their author called them, and nothing that is in them", async () => {
  const a = { element: "a" };
  assert.deepEqual(await recorded("masked", ""), [
    ["element_clicked", { element: "button", element_id: "plain", element_name: "buy" }],
    ["plan_chosen", { element: "button", element_id: "named", element_name: "cta", plan: "team", seat_count: "5" }],
    ["element_clicked", { element: "button", element_id: "masked" }],
    ["file_downloaded", { ...a, element_id: "file", link_host: new URL(fixture.bench.site.origin).host, link_path: "/files/price list.pdf", file_type: "pdf" }],
    ["file_downloaded", { ...a, element_id: "saved", link_host: new URL(fixture.bench.site.origin).host, link_path: "/export" }],
    ["outbound_clicked", { ...a, element_id: "out", link_host: "elsewhere.example", link_path: "/there" }],
    ["element_clicked", { ...a, element_id: "inside" }],
    ["element_clicked", { ...a, element_id: "mail" }],
    ["element_clicked", { element: "div", element_id: "editable", element_role: "button" }],
    ["outbound_clicked", { ...a, element_id: "out", link_host: "elsewhere.example", link_path: "/there" }],
    ["form_submitted", { element: "form", element_id: "signup", element_name: "signup", field_count: 5 }],
  ]);
});

test("what buttons say is recorded on request, scrubbed, and without what is masked", async () => {
  const said = (await recorded("texts", "{ text: true, forms: false, outbound: false, downloads: false }")) as [string, { element_id?: string; text?: string }][];
  assert.deepEqual(
    said.map(([name, { element_id, text }]) => [name, element_id, text ?? null]),
    [
      ["element_clicked", "plain", "Buy of [email]"],
      ["plan_chosen", "named", "Choose"],
      ["element_clicked", "masked", "Pay"],
      ["element_clicked", "file", "Prices"],
      ["element_clicked", "saved", "Export"],
      ["element_clicked", "out", "Elsewhere"],
      ["element_clicked", "inside", "Inside"],
      ["element_clicked", "mail", "Write"],
      ["element_clicked", "editable", null],
      ["element_clicked", "out", "Elsewhere"],
    ],
  );
});

test("a page that clicks by itself is recorded five hundred times, and that is told", async () => {
  const { collector } = fixture.bench;
  const { page, project } = await fixture.bench.visit({
    name: "clicking",
    bundle: "measures",
    body: `<button>again</button>`,
    script: `measures.autocapture.autocapture();
      for (let i = 0; i < 600; i++) document.querySelector("button").click();`,
  });
  await flush(page);
  await untilEqual({ element_clicked: 500 }, () => collector.counts(project));
  assert.deepEqual(await page.evaluate("reported"), ["autocapture_full"]);
});
