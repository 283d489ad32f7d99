/** The checkout: three steps, one form each. Nothing typed here leaves the page. */

import { checkoutStarted, checkoutStepShown } from "../analytics";
import { cartCents, cartLines } from "../cart";
import { euro, html, type Markup } from "../html";
import { answer, deliveryCents, STEPS, type Step } from "../order";
import type { Page } from "../router";
import { cartPage } from "./cart";

const HEADINGS: Record<Step, string> = {
  address: "Where to?",
  delivery: "How fast?",
  payment: "Look it over",
};

const FORMS: Record<Step, () => Markup> = {
  address: () => html`
    <label>Name <input name="name" autocomplete="name" required value="${answer("name")}" /></label>
    <label>Street and number <input name="street" autocomplete="street-address" required value="${answer("street")}" /></label>
    <label>Town <input name="town" autocomplete="address-level2" required value="${answer("town")}" /></label>
    <button class="button">Continue to delivery</button>`,
  delivery: () => html`
    <label class="choice"><input type="radio" name="delivery" value="post" ${answer("delivery") !== "courier" && "checked"} /> <span><b>By post</b> three to five days, free</span></label>
    <label class="choice"><input type="radio" name="delivery" value="courier" ${answer("delivery") === "courier" && "checked"} /> <span><b>By bicycle</b> tomorrow before noon, ${euro(900)}</span></label>
    <button class="button">Continue to payment</button>`,
  payment: () => html`
    <dl>
      ${cartLines().map(({ product, count }) => html`<dt>${count} × ${product.name}</dt><dd>${euro(count * product.cents)}</dd>`)}
      <dt>Delivery</dt><dd>${deliveryCents() ? euro(deliveryCents()) : "free"}</dd>
      <dt><b>Together</b></dt><dd><b>${euro(cartCents() + deliveryCents())}</b></dd>
    </dl>
    <p class="note">This is an example: no payment is taken and nothing is sent.</p>
    <button class="button">Place the order</button>`,
};

export function checkoutPage(part: string): Page {
  const step = part as Step;
  if (cartLines().length === 0) return cartPage();
  return {
    title: HEADINGS[step],
    body: html`<section class="checkout">
      <ol class="steps">
        ${STEPS.map((name) => html`<li aria-current="${name === step ? "step" : "false"}">${name}</li>`)}
      </ol>
      <h1>${HEADINGS[step]}</h1>
      <form data-step="${step}">${FORMS[step]()}</form>
    </section>`,
    shown() {
      if (step === "address") checkoutStarted(cartCents());
      checkoutStepShown(step, STEPS.indexOf(step) + 1);
    },
  };
}
