/**
 * Which page a path shows. Pure, but for {@link go}.
 *
 * A page is a title, markup, and what to do once it stands on the screen.
 */

import type { Markup } from "./html";
import { articlePage } from "./pages/article";
import { cartPage } from "./pages/cart";
import { checkoutPage } from "./pages/checkout";
import { donePage } from "./pages/done";
import { homePage } from "./pages/home";
import { journalPage } from "./pages/journal";
import { missingPage } from "./pages/missing";
import { productPage } from "./pages/product";
import { shopPage } from "./pages/shop";

export interface Page {
  title: string;
  body: Markup;
  /** Called when the page is on screen; what it returns is called when the visitor leaves. */
  shown?: (root: HTMLElement) => (() => void) | void;
}

type Route = [path: RegExp, page: (part: string) => Page | null];

const ROUTES: readonly Route[] = [
  [/^\/$/, homePage],
  [/^\/shop$/, () => shopPage(null)],
  [/^\/shop\/(notebooks|sheets|tools)$/, shopPage],
  [/^\/p\/([\w-]+)$/, productPage],
  [/^\/journal$/, journalPage],
  [/^\/journal\/([\w-]+)$/, articlePage],
  [/^\/cart$/, cartPage],
  [/^\/checkout\/(address|delivery|payment)$/, checkoutPage],
  [/^\/done$/, donePage],
];

/** The page of a path; an unknown path has a page too. */
export function findPage(path: string): Page {
  for (const [pattern, page] of ROUTES) {
    const match = pattern.exec(path);
    const found = match && page(match[1] ?? "");
    if (found) return found;
  }
  return missingPage();
}

/** Go to a path of the shop without loading the document again. */
export function go(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
}
