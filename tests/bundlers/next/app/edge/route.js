import { tally } from "../tally.js";

export const runtime = "edge";

export async function GET() {
  tally.track("served", { user: "ada" }, { where: "edge" });
  return Response.json({ sent: await tally.flush() });
}
