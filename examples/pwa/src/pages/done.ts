/** The order is placed. */

import { picture } from "../art";
import { html } from "../html";
import type { Page } from "../router";

export function donePage(): Page {
  return {
    title: "Thank you",
    body: html`<section class="done">
      <div class="done-art">${picture("envelope")}</div>
      <h1>Thank you. It is as good as in the post.</h1>
      <p class="lead">Or it would be, if this shop existed. While you wait, something to read:</p>
      <p class="row"><a class="button" href="/journal">Open the journal</a></p>
    </section>`,
  };
}
