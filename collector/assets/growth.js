// Takes the figures anew every five minutes, without loading the page again.
const EVERY_MS = 300_000;

setInterval(async () => {
  try {
    const reply = await fetch(location.href, { credentials: "same-origin" });
    if (!reply.ok) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.getElementById("main");
    if (fresh) document.getElementById("main").replaceWith(document.adoptNode(fresh));
  } catch {
    // Offline for the moment: the next time is in five minutes.
  }
}, EVERY_MS);
