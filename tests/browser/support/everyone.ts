/** What has to hold on a page for everybody who reads it: with a keyboard, a screen reader, in any language. */

import type { Page } from "playwright-core";

/** What cannot be reached with the Tab key, has no sign of the focus, or takes clicks without being a control. */
export async function withoutKeyboard(page: Page): Promise<string[]> {
  const wrong = await page.evaluate(() => {
    const at = window as unknown as { controls: Set<Element>; told: (element: Element) => string; quiet: Map<Element, string>; look: (element: Element) => string };
    const shown = (element: Element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
    const first = (radio: HTMLInputElement) => {
      const group = [...document.querySelectorAll<HTMLInputElement>(`input[type=radio][name="${radio.name}"]`)].filter(({ form }) => form === radio.form);
      return radio === (group.find(({ checked }) => checked) ?? group[0]);
    };
    at.told = (element) => element.outerHTML.slice(0, 140);
    // The mark of the focus may be on what stands for the control.
    at.look = (element) => {
      const drawn = [element, element.closest("label"), element.parentElement].filter((one) => one !== null);
      return JSON.stringify(drawn.map((one) => {
        const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(one);
        return [outlineStyle === "none" ? "" : outlineWidth + outlineColor, boxShadow, borderColor];
      }));
    };
    const controls = [...document.querySelectorAll<HTMLElement>("a[href], button, input, select, textarea, summary, [tabindex]")].filter(
      (element) =>
        shown(element) &&
        element.tabIndex >= 0 &&
        !element.matches(":disabled, [type=hidden]") &&
        (!element.matches("[type=radio]") || first(element as HTMLInputElement)),
    );
    at.controls = new Set(controls);
    (document.activeElement as HTMLElement | null)?.blur();
    at.quiet = new Map(controls.map((element) => [element, at.look(element)]));
    const bare = [...document.querySelectorAll("body *")].filter(
      (element) =>
        getComputedStyle(element).cursor === "pointer" &&
        shown(element) &&
        !element.closest("a[href], button, input, select, textarea, summary, label, [role=option]"),
    );
    return bare.map((element) => `can be clicked and is no control: ${at.told(element)}`);
  });
  const count = await page.evaluate(() => (window as unknown as { controls: Set<Element> }).controls.size);
  // A date has a stop for each of its parts. What is before a field that has the focus at first comes after the end.
  for (let presses = 0, ends = 0; presses < count * 3 + 40 && ends < 2; presses++) {
    await page.keyboard.press("Tab");
    const step = await page.evaluate(() => {
      const at = window as unknown as { controls: Set<Element>; told: (element: Element) => string; quiet: Map<Element, string>; look: (element: Element) => string };
      const element = document.activeElement;
      if (!element || element === document.body) return "end";
      const isNew = at.controls.delete(element);
      if (isNew && at.look(element) === at.quiet.get(element)) return `does not show the focus: ${at.told(element)}`;
      return "";
    });
    if (step === "end") ends += 1;
    else if (step !== "") wrong.push(step);
  }
  const left = await page.evaluate(() => {
    const at = window as unknown as { controls: Set<Element>; told: (element: Element) => string };
    return [...at.controls].map((element) => `is not reached by Tab: ${at.told(element)}`);
  });
  return [...wrong, ...left];
}

/** Drawings of figures that a screen reader learns nothing of: no name, or no figures in words beside them. */
export function withoutWords(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll("main svg:not(svg svg, .qr)")].flatMap((svg) => {
      const told = svg.outerHTML.slice(0, 140);
      if (svg.getAttribute("aria-hidden") === "true") {
        // A drawing beside its own figure.
        const beside = svg.closest("tr, li, .card, button, a, figure, section");
        return beside && /\d|\p{L}/u.test(beside.textContent ?? "") ? [] : [`stands alone and is hidden: ${told}`];
      }
      const named = ["img", "group"].includes(svg.getAttribute("role") ?? "") && (svg.getAttribute("aria-label") || svg.getAttribute("aria-labelledby"));
      const figures = svg.closest("figure, .tile, section")?.querySelector("table");
      return [...(named ? [] : [`has no name: ${told}`]), ...(figures ? [] : [`has no table: ${told}`])];
    }),
  );
}

/** All that is read on a page, shown in its fields, and read out, but for what is code or a name of a language. */
export function texts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = new Set<string>();
    const add = (text: string | null, element: Element | null) => {
      const words = (text ?? "").replace(/\s+/g, " ").trim();
      if (/\p{L}{3}/u.test(words) && !element?.closest("script, style, code, pre, kbd, #zones, [lang]:not(html)")) found.add(words);
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) add(node.nodeValue, node.parentElement);
    for (const element of document.querySelectorAll("*"))
      for (const name of ["aria-label", "placeholder", "title", "alt", "label"]) add(element.getAttribute(name), element);
    add(document.title, null);
    return [...found];
  });
}
