/** The list of products, whole or one kind of them. */

import { picture } from "../art";
import { PRODUCTS, type Product } from "../catalogue";
import { euro, html, type Markup } from "../html";
import type { Page } from "../router";

const KINDS: readonly [kind: string | null, label: string][] = [
  [null, "Everything"],
  ["notebooks", "Notebooks"],
  ["sheets", "Sheets"],
  ["tools", "Tools"],
];

/** `kind` narrows the list; `null` shows everything. */
export function shopPage(kind: string | null): Page {
  const shown = PRODUCTS.filter((product) => kind === null || product.kind === kind);
  return {
    title: "Shop",
    body: html`<h1>Shop</h1>
      <nav class="tabs" aria-label="Kinds of goods">
        ${KINDS.map(
          ([value, label]) =>
            html`<a href="${value ? `/shop/${value}` : "/shop"}" aria-current="${value === kind ? "page" : "false"}">${label}</a>`,
        )}
      </nav>
      <div class="grid">${shown.map(productCard)}</div>`,
  };
}

/** A product in a list. */
export function productCard(product: Product): Markup {
  return html`<a class="card" href="/p/${product.id}">
    ${picture(product.drawing)}
    <span class="card-name">${product.name}</span>
    <span class="card-line">${product.line}</span>
    <span class="price">${euro(product.cents)}</span>
  </a>`;
}
