import { createClient } from "@tallymark/server";

export const tally = createClient({
  key: process.env.TALLYMARK_KEY ?? "tm_sk_unset",
  salt: process.env.TALLYMARK_SALT ?? "unset",
  endpoint: process.env.TALLYMARK_ENDPOINT ?? "http://127.0.0.1:8787",
});
