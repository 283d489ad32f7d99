// Tallymark's pages work without this script. With it a part of a page is fetched again when a form changes or time
// passes, tiles can be dragged, and there is a palette of places (Ctrl K). What is fetched was escaped by the server
// that made the page.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const parse = (html) => new DOMParser().parseFromString(html, "text/html").body.childNodes;

  /** Fetch a part of a page. Whoever is signed out meanwhile is led to the sign-in page. */
  async function part(address, signal, said) {
    const reply = await fetch(address, { signal, headers: { accept: "text/html" }, credentials: "same-origin" });
    if (reply.redirected && new URL(reply.url).pathname === "/signin") location.assign("/signin");
    // A refusal is a page of its own, and no part of this one.
    if (!reply.ok) throw new Error(reply.statusText || String(reply.status));
    if (!said) return reply.text();
    // Lines of progress, each whole in its piece, and then the answer.
    const pieces = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let html = ""; ; ) {
      const { done, value } = await pieces.read();
      if (done) return html.split(LINE_ENDS).pop();
      html += value;
      if (html.endsWith(LINE_ENDS)) said(html.slice(html.lastIndexOf(LINE_BEGINS)));
    }
  }
  const [LINE_BEGINS, LINE_ENDS] = ['<p class="progress">', "<!--said-->"];

  // What needs this script shows only with it.
  for (const hidden of all("[data-print], [data-fullscreen], [data-palette]")) hidden.hidden = false;

  // Parts that are fetched again: data-poll is their address, data-every the seconds between.
  for (const place of all("[data-poll]")) {
    setInterval(async () => {
      if (document.hidden || place.contains(document.activeElement)) return;
      try {
        place.replaceChildren(...parse(await part(place.dataset.poll)));
      } catch {
        // The next time may be better.
      }
    }, Number(place.dataset.every) * 1000);
  }

  // Parts that come after their page: data-load is their address. Closing the connection ends the work on the server.
  for (const place of all("[data-load]")) {
    const loading = new AbortController();
    const wait = (is) => {
      one("[data-waiting]", place).hidden = !is;
      one("[data-instead]", place).hidden = is;
      place.setAttribute("aria-busy", String(is));
    };
    one("[data-cancel]", place).addEventListener("click", () => loading.abort());
    wait(true);
    part(place.dataset.load, loading.signal).then(
      (html) => {
        place.replaceChildren(...parse(html));
        place.setAttribute("aria-busy", "false");
      },
      () => wait(false),
    );
  }

  // A question: the answer is asked for again when a field changes, and the address says what is asked.
  const form = one("form[data-live]");
  if (form) {
    const answer = document.getElementById(form.dataset.live);
    const working = one(".working");
    const atFirst = [...working.childNodes];
    let asking = new AbortController();
    let timer = 0;
    const query = () => {
      const fields = new URLSearchParams(new FormData(form));
      // Rows are told by their places, so their empty fields stay; others say nothing.
      for (const name of new Set(fields.keys()))
        if (fields.getAll(name).length === 1 && !fields.get(name)) fields.delete(name);
      if (fields.get("range") !== "custom") ["from", "to"].forEach((name) => fields.delete(name));
      return fields;
    };
    const ask = async () => {
      asking.abort();
      const mine = (asking = new AbortController());
      const fields = query();
      const address = "?" + fields;
      fields.set("part", "answer");
      answer.setAttribute("aria-busy", "true");
      working.replaceChildren(...atFirst);
      const slow = setTimeout(() => (working.hidden = false), 400);
      try {
        const html = await part("?" + fields, mine.signal, (line) => mine === asking && working.replaceChildren(...parse(line)));
        answer.replaceChildren(...parse(html));
        history.replaceState(null, "", address);
        for (const field of all("[data-query]")) field.value = address;
        dress(answer);
      } catch (error) {
        if (error.name !== "AbortError") answer.textContent = String(error.message);
      }
      clearTimeout(slow);
      if (mine === asking) {
        working.hidden = true;
        answer.setAttribute("aria-busy", "false");
      }
    };
    // Closing the connection ends the work on the server.
    working.addEventListener("click", (event) => {
      if (!event.target.closest("[data-cancel]")) return;
      event.preventDefault();
      // The click may have ended the edit of a field, which would ask again.
      clearTimeout(timer);
      asking.abort();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(timer);
      ask();
    });
    form.addEventListener("change", (event) => {
      more(event.target);
      clearTimeout(timer);
      timer = setTimeout(ask, 150);
    });
    form.addEventListener("focusin", (event) => {
      if (event.target.name === "fv") values(event.target);
    });
  }

  /** A new empty row when the last one is used. */
  function more(field) {
    const rows = field.closest("[data-rows]");
    const row = field.closest(".row");
    if (!rows || row !== rows.lastElementChild || !field.value) return;
    const next = row.cloneNode(true);
    for (const input of all("input", next)) input.value = "";
    for (const select of all("select", next)) select.selectedIndex = 0;
    // The next number, or the next letter of a formula.
    const place = rows.children.length + 1;
    for (const number of all(".nr", next)) number.textContent = /\d/.test(number.textContent) ? place : String.fromCharCode(64 + place);
    rows.append(next);
  }

  /** What a property was, to choose from. */
  let shown = "";
  async function values(field) {
    const prop = one("[name=fp]", field.closest(".row")).value;
    if (!prop || prop === shown) return;
    shown = prop;
    try {
      one("[data-values]").replaceChildren(...parse(await part("?" + new URLSearchParams({ part: "values", prop }))));
    } catch {
      shown = "";
    }
  }

  /** A drawing as a file of its own: what the style sheet says of an element goes into the element. */
  const LOOKS =
    "fill stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin opacity paint-order vector-effect font-family font-size font-weight text-anchor display".split(" ");
  function file(svg) {
    const copy = svg.cloneNode(true);
    const [shown, kept] = [svg, copy].map((root) => [root, ...all("*", root)]);
    shown.forEach((element, at) => {
      const style = getComputedStyle(element);
      for (const name of LOOKS) kept[at].setAttribute(name, style.getPropertyValue(name));
      kept[at].removeAttribute("href");
    });
    // What follows the pointer has no place in a picture.
    for (const hit of all(".hit", copy)) hit.remove();
    const { width, height } = svg.getBoundingClientRect();
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const ground = document.createElementNS(svg.namespaceURI, "rect");
    ground.setAttribute("width", "100%");
    ground.setAttribute("height", "100%");
    ground.setAttribute("fill", getComputedStyle(svg.closest("figure")).backgroundColor);
    copy.prepend(ground);
    return new XMLSerializer().serializeToString(copy);
  }
  /** The same as points, twice as fine as on the screen. A picture may only come from here, so it is in its address. */
  async function points(svg) {
    const picture = new Image();
    picture.src = "data:image/svg+xml," + encodeURIComponent(file(svg));
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.width * 2;
    canvas.height = picture.height * 2;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  function download(figure, blob, ending) {
    const href = URL.createObjectURL(blob);
    const name = (one("h2", figure) ?? one("figcaption", figure)).textContent.trim();
    Object.assign(document.createElement("a"), { href, download: name + ending }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  }

  /** Where the server draws what is a list or a table on the page: nowhere on a tile that leads nowhere. */
  function drawn(figure) {
    const tile = figure.closest("[data-tile]");
    const from = tile ? one("header a", tile)?.href : location.href;
    const address = from && new URL(from);
    address?.searchParams.set("part", "drawn");
    return address;
  }
  /** Do something with the drawing of a figure; one that is fetched stands beside the page as long as that takes. */
  async function drawing(figure, address, use) {
    if (!address) return use(one("svg", figure));
    const place = Object.assign(document.createElement("div"), { className: "aside" });
    place.append(...parse(await part(address)));
    figure.append(place);
    try {
      return await use(one("svg", place));
    } finally {
      place.remove();
    }
  }

  /** Buttons in what was fetched. */
  function dress(root) {
    for (const place of all("[data-save]", root)) {
      const figure = place.closest("figure");
      const made = place.dataset.save === "drawn";
      place.hidden = made && !drawn(figure);
      const on = (button, ending, use) =>
        one(button, place).addEventListener("click", async () => download(figure, await drawing(figure, made && drawn(figure), use), ending));
      on("[data-svg]", ".svg", (svg) => new Blob([file(svg)], { type: "image/svg+xml" }));
      on("[data-png]", ".png", points);
    }
    for (const button of all("[data-copy]", root)) {
      button.hidden = false;
      button.addEventListener("click", () => navigator.clipboard.writeText(one("code", button.parentElement).textContent));
    }
  }
  dress(document);

  for (const button of all("[data-print]")) button.addEventListener("click", () => print());
  for (const button of all("[data-fullscreen]"))
    button.addEventListener("click", () => document.getElementById(button.dataset.fullscreen).requestFullscreen());
  for (const field of all("[data-absolute]")) field.value = field.value.replace("/share/", location.origin + "/share/");
  for (const back of all("form.languages [name=back]")) back.value = location.pathname + location.search;

  // Tiles that are dragged onto another take its place; the form of the tile does it.
  const board = one("[data-arrange]");
  if (board) {
    let dragged = null;
    const tile = (event) => event.target.closest("[data-tile]");
    board.addEventListener("pointerover", (event) => {
      const over = tile(event);
      if (over) over.draggable = Boolean(event.target.closest("header"));
    });
    board.addEventListener("dragstart", (event) => (dragged = tile(event)));
    board.addEventListener("dragover", (event) => dragged && tile(event) && event.preventDefault());
    board.addEventListener("drop", (event) => {
      const onto = tile(event);
      if (!dragged || !onto || onto === dragged) return;
      event.preventDefault();
      const arrange = one("form.arrange", dragged);
      arrange.elements.to.value = onto.dataset.tile;
      arrange.requestSubmit(one("[value=move]", arrange));
    });
  }

  // The palette: pages of the navigation, and what the server knows of events, questions and dashboards.
  const opener = one("[data-palette]");
  const palette = one("dialog.palette");
  if (opener && palette) {
    const input = one("input", palette);
    const list = one("ul", palette);
    let places = null;
    const option = (href, name) => {
      const item = document.createElement("li");
      item.role = "option";
      item.dataset.href = href;
      item.append(Object.assign(document.createElement("span"), { textContent: name, className: "cell" }));
      return item;
    };
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/);
      const fits = (item) => words.every((word) => item.textContent.toLowerCase().includes(word));
      list.replaceChildren(...places.filter(fits).slice(0, 30));
      choose(0);
    };
    const choose = (index) => {
      const items = [...list.children];
      items.forEach((item, at) => {
        item.setAttribute("aria-selected", String(at === index));
        item.id = "place-" + at;
      });
      items[index]?.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", items[index] ? "place-" + index : "");
    };
    const go = (item) => item && location.assign(item.dataset.href);
    const open = async () => {
      if (palette.open) return;
      palette.showModal();
      input.value = "";
      places ??= all(".side nav a").map((link) => option(link.getAttribute("href"), link.textContent.trim()));
      show();
      if (places.known) return;
      places.known = true;
      const html = await part(opener.dataset.palette).catch(() => "");
      places.push(...[...parse(html)].filter((node) => node.nodeType === 1));
      show();
    };
    opener.addEventListener("click", open);
    input.addEventListener("input", show);
    list.addEventListener("click", (event) => go(event.target.closest("li")));
    palette.addEventListener("click", (event) => event.target === palette && palette.close());
    input.addEventListener("keydown", (event) => {
      const at = [...list.children].findIndex((item) => item.getAttribute("aria-selected") === "true");
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) choose((at + step + list.children.length) % list.children.length);
      else if (event.key === "Enter") go(list.children[at]);
      else return;
      event.preventDefault();
    });
    let after = 0;
    addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        open();
      }
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
      // g and a letter goes to a page.
      if (event.key === "g") after = event.timeStamp;
      else if (event.timeStamp - after < 1500) {
        const link = all("[data-key]").find((link) => link.dataset.key === event.key);
        after = 0;
        if (link) location.assign(link.href);
      }
    });
  }

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
