/**
 * One product, with the buy button that is under test.
 *
 * The visitor meets the variant here, so here the exposure is recorded.
 */

import { buyButtonShown, buyButtonVariant, contentShown, productViewed } from "../analytics";
import { picture } from "../art";
import { findProduct } from "../catalogue";
import { euro, html } from "../html";
import type { Page } from "../router";

export function productPage(id: string): Page | null {
  const product = findProduct(id);
  if (!product) return null;
  const variant = buyButtonVariant();
  return {
    title: product.name,
    body: html`<article class="product">
      <div class="product-art">${picture(product.drawing)}</div>
      <div>
        <p class="eyebrow"><a href="/shop/${product.kind}">${product.kind}</a></p>
        <h1>${product.name}</h1>
        <p class="lead">${product.line}</p>
        <p>${product.story}</p>
        <ul class="facts">
          ${product.facts.map((fact) => html`<li>${fact}</li>`)}
        </ul>
        <p class="row buy">
          <span class="price big">${euro(product.cents)}</span>
          <button class="button buy-${variant ?? "control"}" data-action="buy" data-id="${product.id}" data-variant="${variant}">
            Add to cart
          </button>
          <a class="quiet" href="/cart">Go to cart</a>
        </p>
      </div>
    </article>`,
    shown(root) {
      productViewed(product);
      if (variant !== null) buyButtonShown(variant);
      const content = { id: product.id, type: "product", owner: "deckle-row", tier: product.kind };
      return contentShown(root.querySelector("article") ?? root, content);
    },
  };
}
