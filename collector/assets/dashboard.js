// Tallymark's pages work without this script. With it a part of a page is fetched again when a form changes or time
// passes, and there is a palette of places (Ctrl K). What it fetches was escaped by the server that made the page.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  /** Fetch a part of a page; refused unless it is a page of ours. */
  async function part(address, signal) {
    const reply = await fetch(address, { signal, headers: { accept: "text/html" }, credentials: "same-origin" });
    if (reply.redirected && new URL(reply.url).pathname === "/signin") location.reload();
    return reply.text();
  }

  // Parts that are fetched again: data-poll is their address, data-every the seconds between.
  for (const place of all("[data-poll]")) {
    const every = Number(place.dataset.every) * 1000;
    const again = async () => {
      if (!document.hidden) {
        try {
          const html = await part(place.dataset.poll);
          if (html !== place.innerHTML) place.innerHTML = html;
        } catch {
          // The next time may be better.
        }
      }
      setTimeout(again, every);
    };
    setTimeout(again, every);
  }

  // The form of the language leads back to where it was used.
  for (const back of all("form.languages [name=back]")) back.value = location.pathname + location.search;

  // Menus close on Escape and when something else is clicked.
  addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && one("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    one("summary", menu).focus();
  });
})();
