/** What has to hold on a page for everybody who reads it: with a keyboard, a screen reader, in any language. */

import type { Page } from "playwright-core";

/** What a page notes while the focus goes through it. */
interface Noted {
  left: Set<Element>;
  wrong: string[];
}

/** What cannot be reached with the Tab key, has no sign of the focus, or takes clicks without being a control. */
export async function withoutKeyboard(page: Page): Promise<string[]> {
  const count = await page.evaluate(() => {
    const told = (element: Element) => element.outerHTML.slice(0, 140);
    const shown = (element: Element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
    const first = (radio: HTMLInputElement) => {
      const group = [...document.querySelectorAll<HTMLInputElement>(`input[type=radio][name="${radio.name}"]`)].filter(({ form }) => form === radio.form);
      return radio === (group.find(({ checked }) => checked) ?? group[0]);
    };
    // The mark of the focus may be on what stands for the control.
    const look = (element: Element) =>
      JSON.stringify(
        [element, element.closest("label"), element.parentElement].map((one) => {
          if (!one) return null;
          const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(one);
          return [outlineStyle === "none" ? "" : outlineWidth + outlineColor, boxShadow, borderColor];
        }),
      );
    (document.activeElement as HTMLElement | null)?.blur();
    const controls = [...document.querySelectorAll<HTMLElement>("a[href], button, input, select, textarea, summary, [tabindex]")].filter(
      (element) =>
        shown(element) &&
        element.tabIndex >= 0 &&
        !element.matches(":disabled, [type=hidden]") &&
        (!element.matches("[type=radio]") || first(element as HTMLInputElement)),
    );
    const quiet = new Map<Element, string>(controls.map((element) => [element, look(element)]));
    const noted: Noted = { left: new Set(controls), wrong: [] };
    (window as unknown as { noted: Noted }).noted = noted;
    for (const element of document.querySelectorAll("body *")) {
      const takes = getComputedStyle(element).cursor === "pointer" && shown(element);
      if (takes && !element.closest("a[href], button, input, select, textarea, summary, label, [role=option]")) noted.wrong.push(`can be clicked and is no control: ${told(element)}`);
    }
    document.addEventListener("focusin", ({ target }) => {
      const element = target as Element;
      if (noted.left.delete(element) && look(element) === quiet.get(element)) noted.wrong.push(`does not show the focus: ${told(element)}`);
    });
    return controls.length;
  });
  // A date has a stop for each of its parts, and what is before a field that had the focus comes after the end.
  for (let presses = 0; presses < count * 3 + 40; presses++) {
    await page.keyboard.press("Tab");
    if (presses % 10 === 9 && (await page.evaluate(() => (window as unknown as { noted: Noted }).noted.left.size)) === 0) break;
  }
  return page.evaluate(() => {
    const { wrong, left } = (window as unknown as { noted: Noted }).noted;
    return [...wrong, ...[...left].map((element) => `is not reached by Tab: ${element.outerHTML.slice(0, 140)}`)];
  });
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
