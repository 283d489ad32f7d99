/** The example shop with a collector behind it, and visitors who walk through it. */

import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";

import { ROOT } from "./bench.ts";
import { Site } from "./site.ts";

/** Content counts as seen after a second on screen; a busy browser begins to count late. */
const LOOK_MS = 2_000;
/** Between two steps. */
const PAUSE_MS = 500;

/** Serve the built shop, configured as whoever runs it would: by a `config.json`. */
export function openShop(config: { key: string; salt: string; endpoint: string }): Promise<Site> {
  return Site.start({
    folder: join(ROOT, "examples", "pwa", "dist"),
    fallback: "/index.html",
    files: { "/config.json": { body: JSON.stringify(config) } },
  });
}

/** Somebody in the shop, doing what people do: reading what is on screen and clicking it. */
export class Visitor {
  private constructor(
    readonly page: Page,
    readonly context: BrowserContext,
  ) {}

  /** Enter by the front door, agree to be counted, and stay until the first page view has left. */
  static async enter(context: BrowserContext, shop: Site): Promise<Visitor> {
    const page = await context.newPage();
    await page.goto(shop.page("/"));
    const counted = page.waitForResponse(/\/v1\/batch/);
    await page.getByRole("button", { name: "Yes, count me" }).click();
    await counted;
    return new Visitor(page, context);
  }

  /** Look at a product of the shop, long enough to see it. Returns the variant of the buy button it was shown with. */
  async lookAt(product: string): Promise<string> {
    await this.page.getByRole("navigation", { name: "Main" }).getByText("Shop").click();
    await this.page.getByRole("link", { name: product }).click();
    await this.page.getByRole("heading", { name: product, level: 1 }).waitFor();
    await this.page.waitForTimeout(LOOK_MS);
    const button = this.page.getByRole("button", { name: "Add to cart" });
    return (await button.getAttribute("data-variant")) ?? "";
  }

  /**
   * A person takes longer from one step to the next than two batches differ on their way: an event's time is that of its
   * batch's arrival, less its age.
   */
  async #pause(): Promise<void> {
    await this.page.waitForTimeout(PAUSE_MS);
  }

  async addToCart(): Promise<void> {
    await this.#pause();
    await this.page.getByRole("button", { name: "Add to cart" }).click();
    await this.page.getByText("is in your cart").waitFor();
  }

  async startCheckout(): Promise<void> {
    await this.#pause();
    await this.page.getByRole("link", { name: "Go to cart" }).click();
    await this.#pause();
    await this.page.getByRole("link", { name: "Check out" }).click();
    await this.page.getByRole("heading", { name: "Where to?" }).waitFor();
  }

  /** Fill in the three steps; `delivery` is the visible name of the choice. */
  async order(delivery: "By post" | "By bicycle"): Promise<void> {
    await this.#pause();
    await this.page.getByLabel("Name").fill("Ada Canary");
    await this.page.getByLabel("Street and number").fill("12 Secret Street");
    await this.page.getByLabel("Town").fill("Nowhere");
    await this.page.getByRole("button", { name: "Continue to delivery" }).click();
    await this.page.getByText(delivery).click();
    await this.#pause();
    await this.page.getByRole("button", { name: "Continue to payment" }).click();
    await this.#pause();
    await this.page.getByRole("button", { name: "Place the order" }).click();
    await this.page.getByRole("heading", { name: "Thank you" }).waitFor();
  }

  /** Read an essay to its end. */
  async read(title: string): Promise<void> {
    await this.page.getByRole("navigation", { name: "Main" }).getByText("Journal").click();
    await this.page.getByRole("link", { name: title }).click();
    await this.page.getByRole("heading", { name: title, level: 1 }).waitFor();
    await this.page.waitForTimeout(LOOK_MS);
    await this.page.evaluate(async () => {
      const { bottom } = document.querySelector("article.reader")!.getBoundingClientRect();
      scrollBy({ top: bottom - innerHeight + 1, behavior: "instant" });
      // How far somebody read is looked at in the frame after scrolling.
      for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    });
  }

  /** What the browser does when the visitor installs: offer, answer, installed. */
  async install(answer: "accepted" | "dismissed"): Promise<void> {
    await this.page.evaluate((outcome) => {
      const offer = Object.assign(new Event("beforeinstallprompt", { cancelable: true }), {
        prompt: () => Promise.resolve({ outcome }),
        userChoice: Promise.resolve({ outcome, platform: "web" }),
      });
      dispatchEvent(offer);
    }, answer);
    await this.page.getByRole("button", { name: "Install" }).click();
    if (answer === "accepted") {
      await this.page.evaluate(() => dispatchEvent(new Event("appinstalled")));
    }
  }

  /** Go somewhere else, which is when the last events leave. */
  async leave(): Promise<void> {
    await this.page.goto("about:blank");
  }
}
