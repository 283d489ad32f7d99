import { Button } from "./button.jsx";
import { tally } from "./tally.js";

export const dynamic = "force-dynamic";

export default async function Page() {
  tally.track("rendered", { user: "ada" }, { where: "server" });
  await tally.flush();
  return <Button />;
}
