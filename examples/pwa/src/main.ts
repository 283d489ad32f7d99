/**
 * The shop: start, frame, and the one place where clicks and submits arrive.
 *
 * In: the path. Out: the page in `#page`, the header and the consent card around it.
 */

import { answerConsent, consent, mustAsk, pageShown, prepareAnalytics, variantsKnown } from "./analytics";
import { cartCount } from "./cart";
import { loadConfig } from "./config";
import { act, submit } from "./actions";
import { canInstall, install, watchInstall } from "./install";
import { consentCard, footer, header } from "./frame";
import { findPage, go } from "./router";

let leave: (() => void) | void;

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** Draw header, footer and consent card; cheap, so done whenever something may have changed. */
function drawFrame(): void {
  element("header").innerHTML = header(location.pathname, cartCount(), canInstall()).text;
  element("footer").innerHTML = footer(consent()).text;
  element("consent").innerHTML = mustAsk() ? consentCard().text : "";
}

/** Leave the page that is shown and show the one of the path. */
function showPage(): void {
  leave?.();
  const page = findPage(location.pathname);
  const root = element("page");
  document.title = `${page.title} · Deckle Row`;
  root.innerHTML = page.body.text;
  drawFrame();
  pageShown();
  leave = page.shown?.(root);
}

function onClick(event: MouseEvent): void {
  const target = event.target as Element;
  const button = target.closest<HTMLElement>("[data-action]");
  if (button) {
    void onAction(button.dataset["action"] ?? "", button.dataset["id"] ?? "");
    return;
  }
  const link = target.closest<HTMLAnchorElement>("a[href^='/']");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  if (link && plain) {
    event.preventDefault();
    go(link.pathname);
    scrollTo(0, 0);
  }
}

async function onAction(action: string, id: string): Promise<void> {
  switch (action) {
    case "consent":
      answerConsent(id === "given" ? "given" : "refused");
      showPage(); // counted from here on, and shown with the variant this visitor has
      break;
    case "install":
      await install();
      drawFrame();
      break;
    default:
      if (act(action, id) === "page-changed") showPage();
      else drawFrame();
  }
}

async function start(): Promise<void> {
  watchInstall(drawFrame);
  addEventListener("popstate", showPage);
  document.addEventListener("click", onClick);
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(event.target as HTMLFormElement);
  });
  // The last chance to say how long something was read.
  addEventListener("pagehide", () => {
    leave?.();
    leave = undefined;
  });
  prepareAnalytics(await loadConfig());
  await variantsKnown();
  showPage();
  // Only after the first page stands: installing the offline copy must not compete with it.
  if ("serviceWorker" in navigator) await navigator.serviceWorker.register("/sw.js");
}

void start();
