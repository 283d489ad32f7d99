/** The home page: a promise, four products, two essays. */

import { picture } from "../art";
import { PRODUCTS } from "../catalogue";
import { html } from "../html";
import { ARTICLES } from "../journal";
import type { Page } from "../router";
import { articleCard } from "./journal";
import { productCard } from "./shop";

export function homePage(): Page {
  return {
    title: "Paper with a ragged edge",
    body: html`<section class="hero">
        <div>
          <p class="eyebrow">Paper goods and slow reading</p>
          <h1>For things worth writing by hand.</h1>
          <p class="lead">
            Notebooks that open flat, sheets with a ragged edge, and essays to read while the ink
            dries.
          </p>
          <p class="row">
            <a class="button" href="/shop">See the shop</a>
            <a class="quiet" href="/journal">Read the journal</a>
          </p>
        </div>
        <div class="hero-art">${picture("sheets")}${picture("notebook")}</div>
      </section>
      <section>
        <h2>On the counter this week</h2>
        <div class="grid">${PRODUCTS.slice(0, 4).map(productCard)}</div>
      </section>
      <section>
        <h2>From the journal</h2>
        <div class="grid wide">${ARTICLES.slice(0, 2).map(articleCard)}</div>
      </section>`,
  };
}
