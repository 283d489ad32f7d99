/** The list of essays. */

import { picture } from "../art";
import { html, type Markup } from "../html";
import { ARTICLES, type Article } from "../journal";
import type { Page } from "../router";

export function journalPage(): Page {
  return {
    title: "Journal",
    body: html`<h1>Journal</h1>
      <p class="lead">Short essays on paper, ink, and the people who still use both.</p>
      <div class="grid wide">${ARTICLES.map(articleCard)}</div>`,
  };
}

/** An essay in a list. */
export function articleCard(article: Article): Markup {
  return html`<a class="card essay" href="/journal/${article.id}">
    ${picture(article.drawing)}
    <span>
      <span class="card-name">${article.title}</span>
      <span class="card-line">${article.teaser}</span>
      <span class="by">${article.author} · ${article.minutes} min</span>
    </span>
  </a>`;
}
