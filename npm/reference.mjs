/**
 * The reference of both packages, made of their types: `node reference.mjs` writes `docs/reference/`.
 *
 * In: the `.d.ts` files that the build put beside the scripts. Out: a page per package, one section per
 * entry point. A test holds the pages against what this gives.
 */

import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NPM = dirname(fileURLToPath(import.meta.url));
const DOCS = join(NPM, "..", "docs", "reference");

/** A block of documentation, if there is one, and the declaration below it, up to a line that ends it. */
const DECLARED = /(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^export (?:declare )?(?:abstract )?(function|interface|type|const|class) (\w+)((?:(?!^(?:export|\/\*\*))[^])*)/gm;

/** The pages by name. */
export function pages() {
  return Object.fromEntries([".", "server"].map((folder) => {
    const { name, exports } = JSON.parse(readFileSync(join(NPM, folder, "package.json"), "utf8"));
    const entries = Object.entries(exports).filter(([, entry]) => entry.types);
    const sections = entries.map(([path, { types }]) => section(name + path.slice(1), join(NPM, folder, types)));
    return [`${name.split("/")[1]}.md`, `# ${name}\n\nMade of the types by \`node npm/reference.mjs\`.\n${sections.join("")}`.replace(/\n{3,}/g, "\n\n")];
  }));
}

/** Everything an entry point exports, what it takes from other files included. */
export function exported(file) {
  const text = readFileSync(file, "utf8");
  const found = [...text.matchAll(DECLARED)].map(([, doc = "", kind, name, rest]) => ({ doc, kind, name, rest }));
  for (const [, names, from] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "(\.[^"]*)\.js";/gm)) {
    const wanted = names.split(",").map((name) => name.replace("type", "").trim());
    found.push(...exported(join(dirname(file), `${from}.d.ts`)).filter(({ name }) => wanted.includes(name)));
  }
  return found;
}

function section(title, file) {
  const [, about = ""] = /^\/\*\*([^]*?)\*\//.exec(readFileSync(file, "utf8")) ?? [];
  const parts = exported(file).map(({ doc, kind, name, rest }) => {
    const code = `${kind} ${name}${rest}`.trimEnd().replace(/ {4}/g, "  ");
    return `\n### ${name}\n\n${words(doc)}\n\`\`\`ts\n${code}\n\`\`\`\n`;
  });
  return `\n## ${title}\n\n${words(about)}${parts.join("")}`;
}

/** A block of documentation as Markdown. */
function words(doc) {
  const lines = doc.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd());
  const text = lines.join("\n").trim()
    .replace(/\{@link (?:\w+\.)?(\w+)\}/g, "`$1`")
    .replace(/@packageDocumentation/g, "")
    .replace(/@param (\w+) - /g, "- `$1`: ")
    .replace(/@returns? /g, "- Gives: ")
    .replace(/@throws /g, "- Throws: ")
    .replace(/@example\n([^]*?)(?=\n@|$)/g, (_, code) => `\n\`\`\`ts\n${code.trim()}\n\`\`\``);
  return text.trim() && `${text.trim()}\n`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(pages())) writeFileSync(join(DOCS, name), text);
}
