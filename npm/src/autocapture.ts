/**
 * Clicks, forms, downloads and ways out, recorded without a call: `@tallymark/web/autocapture`.
 *
 * Masked by default: an element is told by what its author gave it (kind, `id`, `name`,
 * `data-tm-name`), never by what is in it. What somebody types, picks or ticks is never read.
 *
 * Attributes say otherwise:
 *
 * - `data-tm-event="plan_chosen"` names the event, on any element; `data-tm-prop-plan="team"` adds a property
 * - `data-tm-name="buy"` names the element
 * - `data-tm-ignore` records nothing of an element and what is in it
 * - `data-tm-mask` keeps texts in it from being recorded, where `text` is set
 *
 * @packageDocumentation
 */

import { quietly, report, track } from "./index.js";
import { scrub } from "./scrub.js";
import type { Properties } from "./types.js";

/** Settings of {@link autocapture}. */
export interface AutocaptureOptions {
  /** Buttons, links and whatever else is made for clicking. Default `true`. */
  clicks?: boolean;
  /** Forms that are sent. Default `true`. */
  forms?: boolean;
  /** Links to files. Default `true`. */
  downloads?: boolean;
  /** Links to other hosts. Default `true`. */
  outbound?: boolean;
  /** Record what buttons and links say, scrubbed and cut to 64 characters. Default `false`. */
  text?: boolean;
  /** Ends of the names of files. */
  files?: RegExp;
}

/** Events of one page; more is no visitor. */
const EVENTS_MAX = 500;
const TEXT_MAX = 64;
const CLICKABLE = 'a[href],area[href],button,summary,[role="button"],[role="link"],[role="menuitem"],[role="tab"],input[type="button"],input[type="submit"],input[type="reset"],input[type="image"],[data-tm-event]';
const FILES = /\.(?:pdf|docx?|xlsx?|pptx?|csv|txt|rtf|zip|rar|7z|gz|tar|dmg|exe|msi|pkg|apk|mp[34]|m4[av]|mov|avi|wav|epub|ics)$/i;

/** Record what visitors do from now on. Gives the function that ends it. */
export function autocapture({
  clicks = true,
  forms = true,
  downloads = true,
  outbound = true,
  text = false,
  files = FILES,
}: AutocaptureOptions = {}): () => void {
  if (typeof window === "undefined") return () => {};
  const listening = new AbortController();
  let count = 0;

  function record(name: string, element: Element, properties: Properties): void {
    if (count >= EVENTS_MAX) {
      if (count++ === EVENTS_MAX) report("autocapture_full", `more than ${EVENTS_MAX} events of one page; the others are not recorded`);
      return;
    }
    count++;
    track(name, { ...about(element), ...properties, ...own(element) });
  }

  function clicked(event: MouseEvent): void {
    // The right button opens a menu, which is no click on anything.
    if (event.button > 1) return;
    const element = target(event)?.closest<HTMLElement>(CLICKABLE);
    if (!element || isIgnored(element)) return;
    const link = element.closest<HTMLAnchorElement>("a[href],area[href]");
    const isFile = link !== null && (link.hasAttribute("download") || files.test(link.pathname));
    const isOut = link !== null && /^https?:$/.test(link.protocol) && link.host !== location.host;
    const said = text && says(element);
    const where = {
      ...(said && { text: said }),
      ...(link && (isOut || isFile) && { link_host: link.host, link_path: scrub(decoded(link.pathname), 300) }),
    };
    const named = element.dataset["tmEvent"];
    if (named) record(named, element, where);
    else if (isFile && downloads) record("file_downloaded", element, { ...where, file_type: /\.(\w{1,8})$/.exec(link.pathname)?.[1]?.toLowerCase() });
    else if (isOut && outbound) record("outbound_clicked", element, where);
    else if (clicks) record("element_clicked", element, where);
  }

  function submitted(event: SubmitEvent): void {
    const form = target(event);
    if (!(form instanceof HTMLFormElement) || isIgnored(form)) return;
    // A field named "elements" or "dataset" would stand before the form's own.
    const named = form.getAttribute("data-tm-event");
    record(named || "form_submitted", form, { field_count: form.querySelectorAll("input,select,textarea").length });
  }

  // Capturing: pages stop events on their way up.
  const early = { signal: listening.signal, capture: true };
  const take = <Kind extends Event>(act: (event: Kind) => void) => (event: Kind): void => void quietly(() => act(event));
  document.addEventListener("click", take(clicked), early);
  document.addEventListener("auxclick", take(clicked), early);
  if (forms) document.addEventListener("submit", take(submitted), early);
  return () => listening.abort();
}

/** Inside of an open shadow root as well. */
function target(event: Event): Element | undefined {
  const [first] = event.composedPath();
  return first instanceof Element ? first : undefined;
}

function isIgnored(element: Element): boolean {
  return element.closest("[data-tm-ignore]") !== null;
}

/** What its author called it. */
function about(element: Element): Properties {
  const of = (name: string): string | undefined => element.getAttribute(name)?.slice(0, 100) || undefined;
  return {
    element: element.tagName.toLowerCase(),
    element_id: of("id"),
    element_name: of("data-tm-name") ?? of("name"),
    element_role: of("role"),
  };
}

/** `data-tm-prop-…` of the element. */
function own(element: Element): Properties {
  const properties: { [name: string]: string } = {};
  for (const { name, value } of element.attributes) {
    if (name.startsWith("data-tm-prop-")) properties[name.slice(13).replace(/-/g, "_")] = value;
  }
  return properties;
}

/** What a button or a link says; nothing of what was put into it. */
function says(element: Element): string | undefined {
  if (element.closest("[data-tm-mask],[contenteditable]") || !element.matches("a,button,summary,[role]")) return undefined;
  const shown = element.cloneNode(true) as Element;
  shown.querySelectorAll("input,select,textarea,option,script,style,[data-tm-mask],[contenteditable]").forEach((inside) => inside.remove());
  return scrub(shown.textContent?.replace(/\s+/g, " ").trim() ?? "", TEXT_MAX) || undefined;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
