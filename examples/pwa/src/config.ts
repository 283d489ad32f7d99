/**
 * What the page must know before it can count: read at run time, so one build serves any project.
 *
 * `config.json` lies beside the page and is written by whoever runs the collector. Without it, or
 * with a broken one, the shop works and counts nothing.
 */

export interface ShopConfig {
  /** The project's write key, `tm_pk_…`. */
  key: string;
  /** The project's salt as `tallymark project create` prints it. */
  salt: string;
  /** The collector's origin, such as `http://127.0.0.1:8787`. */
  endpoint: string;
}

/** The configuration beside the page, or `null` when the shop runs without a collector. */
export async function loadConfig(): Promise<ShopConfig | null> {
  try {
    const reply = await fetch("/config.json", { cache: "no-cache" });
    const found: unknown = reply.ok ? await reply.json() : null;
    return isConfig(found) ? found : null;
  } catch {
    return null; // offline before the first visit, or the file is not JSON
  }
}

function isConfig(found: unknown): found is ShopConfig {
  const fields = found as Partial<Record<keyof ShopConfig, unknown>> | null;
  return (
    typeof fields === "object" &&
    fields !== null &&
    [fields.key, fields.salt, fields.endpoint].every((text) => typeof text === "string" && text)
  );
}
