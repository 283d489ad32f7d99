/**
 * The first stage of hashing: by the platform where it has a hash that answers at once, else by the Rust
 * that pages run, as plain JavaScript. Both are held against the same table.
 */

import { hashId as hash, memory, room } from "tallymark-asm/tallymark";

interface Hmac {
  update(text: string): Hmac;
  digest(form: "hex"): string;
}
interface Platform {
  process?: { getBuiltinModule?(name: string): { createHmac(name: string, key: string): Hmac } | undefined };
}

/** As much as there is room for in the module. */
const ROOM_BYTES = 128 * 1024;
/** No text of so many characters can be longer than the room, beside a salt. */
const CHARS_SHORT = 32 * 1024;
/** White space around an id, as `protocol/src/hashing.rs` says it. */
const AROUND = /^[\t\n\f\r ]+|[\t\n\f\r ]+$/g;

const native = look();

/** Not imported: other platforms have no such module, and some refuse even the question. */
function look(): { createHmac(name: string, key: string): Hmac } | undefined {
  try {
    return (globalThis as Platform).process?.getBuiltinModule?.("node:crypto");
  } catch {
    return undefined;
  }
}

/**
 * The hash of an id, as pages make it and the collector expects it: `HMAC-SHA256(salt, "v1|user|" + id)` in
 * hexadecimal digits. Empty for an id that is empty, or longer than 128 KiB together with the salt.
 */
export function hashId(salt: string, isDevice: boolean, id: string): string {
  const clean = id.replace(AROUND, "");
  const encoder = new TextEncoder();
  const isLong = clean.length > CHARS_SHORT && encoder.encode(salt + clean).length > ROOM_BYTES;
  if (!clean || isLong) return "";
  if (!native) return inRust(salt, isDevice, clean);
  return native.createHmac("sha256", salt).update(`v1|${isDevice ? "device" : "user"}|${clean}`).digest("hex");
}

function inRust(salt: string, isDevice: boolean, id: string): string {
  const bytes = new Uint8Array(memory.buffer, room(), ROOM_BYTES);
  const encoder = new TextEncoder();
  const { written: saltBytes = 0 } = encoder.encodeInto(salt, bytes);
  const { written: idBytes = 0 } = encoder.encodeInto(id, bytes.subarray(saltBytes));
  if (!hash(saltBytes, idBytes, isDevice)) return "";
  let digits = "";
  for (const byte of bytes.subarray(0, 32)) digits += (byte + 256).toString(16).slice(1);
  return digits;
}
