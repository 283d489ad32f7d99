/** The cart. */

import { picture } from "../art";
import { cartCents, cartLines } from "../cart";
import { euro, html } from "../html";
import type { Page } from "../router";

export function cartPage(): Page {
  const lines = cartLines();
  return {
    title: "Cart",
    body:
      lines.length === 0
        ? html`<h1>Your cart is empty</h1>
            <p class="lead">A blank page is a fine beginning, though.</p>
            <p><a class="button" href="/shop">See the shop</a></p>`
        : html`<h1>Cart</h1>
            <ul class="lines">
              ${lines.map(
                ({ product, count }) => html`<li>
                  ${picture(product.drawing)}
                  <a href="/p/${product.id}">${product.name}</a>
                  <span class="stepper">
                    <button data-action="less" data-id="${product.id}" aria-label="One ${product.name} less">−</button>
                    <span>${count}</span>
                    <button data-action="more" data-id="${product.id}" aria-label="One ${product.name} more">+</button>
                  </span>
                  <span class="price">${euro(product.cents * count)}</span>
                </li>`,
              )}
            </ul>
            <p class="total"><span>Together</span><span class="price big">${euro(cartCents())}</span></p>
            <p class="row end"><a class="quiet" href="/shop">Keep looking</a><a class="button" href="/checkout/address">Check out</a></p>`,
  };
}
