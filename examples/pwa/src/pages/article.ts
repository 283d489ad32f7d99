/** One essay. */

import { contentShown } from "../analytics";
import { picture } from "../art";
import { html } from "../html";
import { ARTICLES, findArticle } from "../journal";
import type { Page } from "../router";
import { articleCard } from "./journal";

export function articlePage(id: string): Page | null {
  const article = findArticle(id);
  if (!article) return null;
  const next = ARTICLES[(ARTICLES.indexOf(article) + 1) % ARTICLES.length] ?? article;
  return {
    title: article.title,
    body: html`<article class="reader">
        <p class="eyebrow">${article.author} · ${article.minutes} min</p>
        <h1>${article.title}</h1>
        <p class="lead">${article.teaser}</p>
        <div class="banner">${picture(article.drawing)}</div>
        ${article.paragraphs.map((text) => html`<p>${text}</p>`)}
      </article>
      <section class="next">
        <h2>Read next</h2>
        ${articleCard(next)}
      </section>`,
    shown(root) {
      const content = { id: article.id, type: "article", owner: article.author, tier: article.tier };
      return contentShown(root.querySelector("article") ?? root, content);
    },
  };
}
