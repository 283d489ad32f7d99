/** What stands around every page: header, footer, and the question whether we may count. */

import { MARK } from "./art";
import type { Consent } from "./analytics";
import { html, type Markup } from "./html";

/** The header; `path` marks the current section. */
export function header(path: string, cartCount: number, canInstall: boolean): Markup {
  const current = (section: string) => (path.startsWith(section) ? "page" : "false");
  return html`<a class="brand" href="/">${MARK}<span>Deckle Row</span></a>
    <nav aria-label="Main">
      <a href="/shop" aria-current="${current("/shop")}">Shop</a>
      <a href="/journal" aria-current="${current("/journal")}">Journal</a>
      ${canInstall && html`<button class="quiet" data-action="install">Install</button>`}
      <a class="cart-link" href="/cart" aria-current="${current("/cart")}"
        >Cart<span class="badge" aria-label="${cartCount} pieces">${cartCount}</span></a
      >
    </nav>`;
}

/** The footer; the visitor can change the answer here at any time. */
export function footer(answer: Consent): Markup {
  const change =
    answer === "given"
      ? html`<button class="quiet" data-action="consent" data-id="refused">Stop counting my visits</button>`
      : answer === "refused" &&
        html`<button class="quiet" data-action="consent" data-id="given">Count my visits again</button>`;
  return html`<p>Deckle Row is an invented shop. Nothing here is for sale, nothing is charged.</p>
    <p>${change}</p>`;
}

/** The question, put once. */
export function consentCard(): Markup {
  return html`<section class="consent" aria-label="Counting visits">
    <p>
      <strong>May we count this visit?</strong> We would like to know which pages help. No ads, no
      sale of data; what you type stays here.
    </p>
    <div>
      <button class="button" data-action="consent" data-id="given">Yes, count me</button>
      <button class="quiet" data-action="consent" data-id="refused">No</button>
    </div>
  </section>`;
}
