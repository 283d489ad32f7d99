/**
 * What buttons and forms do. Every action either changed the page under the visitor or it did not.
 */

import { addedToCart, purchased } from "./analytics";
import { cartCents, cartLines, changeCart, clearCart } from "./cart";
import { findProduct } from "./catalogue";
import { deliveryCents, keepAnswers, nextStep } from "./order";
import { go } from "./router";

export type Outcome = "page-changed" | "page-kept";

/** Carry out a button's `data-action`. */
export function act(action: string, id: string): Outcome {
  switch (action) {
    case "buy": {
      const product = findProduct(id);
      if (!product) return "page-kept";
      changeCart(id, 1);
      addedToCart(product);
      announce(`${product.name} is in your cart.`);
      return "page-kept";
    }
    case "more":
      changeCart(id, 1);
      return "page-changed";
    case "less":
      changeCart(id, -1);
      return "page-changed";
    default:
      return "page-kept";
  }
}

/** Carry out a checkout form: keep what was answered, then the next step or the order. */
export function submit(form: HTMLFormElement): void {
  const step = form.dataset["step"] ?? "";
  keepAnswers(new FormData(form));
  const next = nextStep(step);
  if (next) {
    go(`/checkout/${next}`);
  } else if (cartLines().length > 0) {
    purchased(cartLines(), cartCents() + deliveryCents());
    clearCart();
    go("/done");
  }
  scrollTo(0, 0);
}

function announce(text: string): void {
  const toast = document.getElementById("toast");
  if (!toast) return;
  toast.textContent = text;
  toast.classList.remove("shown");
  void toast.offsetWidth; // restart the animation
  toast.classList.add("shown");
}
