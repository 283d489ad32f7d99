/** The built package, as a module and as it is met at the edge, and a collector of paper. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);

/** A file of the built package; says what to do when there is none. */
export function built(name) {
  const url = new URL(name, DIST);
  if (!existsSync(url)) throw new Error(`${fileURLToPath(url)} is missing: run \`cargo xtask build\``);
  return url;
}

export const SETTINGS = { key: "tm_sk_test", salt: "ab".repeat(32), endpoint: "https://stats.example", flushOnExit: false };

/**
 * A `fetch` that takes batches and answers as the collector does; `behave` may answer number `index` otherwise: a status, a
 * function of the batch, or nothing for a connection that breaks.
 */
export function paper(behave = () => 200) {
  const batches = [];
  const answer = async (url, { body, headers }) => {
    const bytes = typeof body === "string" ? body : gunzipSync(body);
    const batch = JSON.parse(bytes);
    batches.push({ url: String(url), headers, ...batch });
    const reply = behave(batches.length - 1, batch);
    if (reply === undefined) throw new TypeError("connection reset");
    if (typeof reply === "object") return reply;
    if (reply !== 200) return Response.json({ code: "busy" }, { status: reply });
    return Response.json({ nonce: batch.nonce, ok: batch.events.length, dup: 0, rejected: [] });
  };
  return { fetch: answer, batches, events: () => batches.flatMap(({ events }) => events) };
}
