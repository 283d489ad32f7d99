/** A path that leads nowhere. */

import { html } from "../html";
import type { Page } from "../router";

export function missingPage(): Page {
  return {
    title: "Not here",
    body: html`<h1>This page was torn out</h1>
      <p class="lead">The address leads nowhere. The shop is still open.</p>
      <p><a class="button" href="/">Back to the start</a></p>`,
  };
}
