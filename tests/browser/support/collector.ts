/**
 * A real collector in a folder of its own: the binary, its command line and its HTTP interface.
 *
 * Only what is public is used. The folder and the process go with {@link Collector.stop}.
 */

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const BINARY = process.env["TALLYMARK_BIN"] ?? "tallymark";
const START_MS = 20_000;
/** Longer than the longest command, which fills a project with millions of events. */
const COMMAND_MS = 600_000;

/** What `tallymark project create --json` prints. */
export interface Project {
  project: string;
  slug: string;
  write_key: string;
  secret_key: string;
  salt: string;
}

/** One event as `GET /v1/events` lists it. */
export interface StoredEvent {
  id: string;
  name: string;
  at: number;
  /** What the client's clock said. */
  claimed_at: number;
  person: string;
  session: string | null;
  /** Built-in dimensions that are known: `path`, `browser`, … */
  context: Record<string, string>;
  props: Record<string, unknown>;
}

export class Collector {
  private constructor(
    private readonly child: ChildProcess,
    /** Everything it writes, but for its log. */
    readonly folder: string,
    /** What it has printed so far, log and all. */
    readonly printed: () => string,
    /** Such as `http://127.0.0.1:40123`. */
    readonly origin: string,
    /** The one-time address that signs a browser in. */
    readonly signInUrl: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /**
   * Start on a free port and wait until it says that it is ready: with these settings, in a new folder or this one, in
   * this environment.
   */
  static async start(
    settings: string[] = [],
    folder = mkdtempSync(join(tmpdir(), "tallymark-data-")),
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<Collector> {
    const args = ["serve", "--listen", "127.0.0.1:0", "--data", folder, "--json", ...settings];
    const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let errors = "";
    let printed = "";
    child.stderr.on("data", (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-8_000);
      printed += chunk.toString();
    });
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    const ready = new Promise<Ready>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${BINARY} ${why}\n${errors}`));
      const timer = setTimeout(() => fail(`was not ready in ${START_MS} ms`), START_MS);
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code) => fail(`ended with ${code} before it was ready`));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const said = parseReady(line);
        if (!said) return; // a log line
        clearTimeout(timer);
        resolve(said);
      });
    });
    try {
      const { address, sign_in } = await ready;
      return new Collector(child, folder, () => printed, `http://${address}`, sign_in, env);
    } catch (error) {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Run a command of the command line on its folder; gives what that prints. */
  async command(...args: string[]): Promise<Buffer> {
    return runCommand(args, this.folder, this.env);
  }

  /** Create a project with the command line, as an operator would. */
  async createProject(slug: string): Promise<Project> {
    const printed = await this.command("project", "create", `Test ${slug}`, "--slug", slug, "--json");
    return JSON.parse(printed.toString()) as Project;
  }

  /** The script tag for pages of a project, as the command line prints it. */
  async snippet(project: Project): Promise<string> {
    const tag = await this.command("snippet", "--key", project.write_key, "--public-url", this.origin);
    return tag.toString().trim();
  }

  /** Everything a project has stored, oldest first; `filters` go into the address. */
  async events(project: Project, filters: Record<string, string> = {}): Promise<StoredEvent[]> {
    const all: StoredEvent[] = [];
    let cursor: string | undefined;
    do {
      const address = new URL("/v1/events", this.origin);
      for (const [name, value] of Object.entries(filters)) address.searchParams.set(name, value);
      address.searchParams.set("limit", "1000");
      if (cursor) address.searchParams.set("cursor", cursor);
      const page = (await this.read(project, address, {})) as {
        events: StoredEvent[];
        next: string | null;
      };
      all.push(...page.events);
      cursor = page.next ?? undefined;
    } while (cursor);
    return all.reverse();
  }

  /** How often each event name is stored. */
  async counts(project: Project, name?: string): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const event of await this.events(project)) {
      if (name === undefined || event.name === name) {
        counts[event.name] = (counts[event.name] ?? 0) + 1;
      }
    }
    return counts;
  }

  /** Ask a question; the answer's fields are in `semantics` and differ by kind. */
  async query<Answer>(project: Project, kind: string, question: object): Promise<Answer> {
    const address = new URL(`/v1/query/${kind}`, this.origin);
    const init = { method: "POST", body: JSON.stringify(question) };
    return (await this.read(project, address, init)) as Answer;
  }

  /** Define experiments, flags or holdouts, start them, and give the document that pages get. */
  async run(project: Project, definitions: { key: string; [field: string]: unknown }[]): Promise<object> {
    for (const definition of definitions) {
      const address = new URL("/v1/experiments", this.origin);
      await this.read(project, address, { method: "POST", body: JSON.stringify(definition) });
      const start = new URL(`/v1/experiments/${definition.key}/transition`, this.origin);
      await this.read(project, start, { method: "POST", body: JSON.stringify({ to: "running" }) });
    }
    const reply = await fetch(new URL(`/v1/flags/${project.write_key}`, this.origin));
    return (await reply.json()) as object;
  }

  /** Whatever stands at a path, as text. */
  async text(project: Project, path: string): Promise<string> {
    const reply = await fetch(new URL(path, this.origin), { headers: { authorization: `Bearer ${project.secret_key}` } });
    return reply.text();
  }

  /** Send events as a server does, with the secret key and raw ids. */
  async sendFromServer(project: Project, events: object[]): Promise<unknown> {
    const address = new URL("/v1/batch", this.origin);
    const body = { nonce: "0".repeat(32), sdk: "test/1", sent_at: Date.now(), events };
    return this.read(project, address, { method: "POST", body: JSON.stringify(body) });
  }

  /** The files of the data folder in which one of these texts or byte sequences stands. */
  filesWith(...texts: (string | Buffer)[]): string[] {
    const files = readdirSync(this.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    return files.filter((file) => {
      const content = readFileSync(file);
      return texts.some((text) => content.includes(text));
    });
  }

  /** What a core dump of it would have: every part of its memory that it may write. */
  memory(): [where: string, bytes: Buffer][] {
    const { pid } = this.child;
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8").matchAll(/^(\w+)-(\w+) rw.. \S+ \S+ \S+ *(.*)$/gm);
    const memory = openSync(`/proc/${pid}/mem`, "r");
    try {
      return [...maps].map(([, from = "", to = "", name]) => {
        const bytes = Buffer.alloc(Number.parseInt(to, 16) - Number.parseInt(from, 16));
        const read = readSync(memory, bytes, 0, bytes.length, Number.parseInt(from, 16));
        return [`memory at ${from} ${name}`, bytes.subarray(0, read)];
      });
    } finally {
      closeSync(memory);
    }
  }

  /** End the process and remove its folder. */
  async stop(): Promise<void> {
    await this.end("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** End the process by this signal; its folder stays. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 5_000);
    await ended;
    clearTimeout(timer);
  }

  private async read(project: Project, address: URL, init: RequestInit): Promise<unknown> {
    const headers = {
      authorization: `Bearer ${project.secret_key}`,
      "content-type": "application/json",
    };
    const reply = await fetch(address, { ...init, headers });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${address.pathname} answered ${reply.status}: ${text}`);
    return JSON.parse(text);
  }
}

/** Run a command of the command line on a folder; gives what that prints. */
export async function runCommand(args: string[], folder: string, env: NodeJS.ProcessEnv = process.env): Promise<Buffer> {
  const options = { timeout: COMMAND_MS, encoding: "buffer", maxBuffer: 2 ** 28, env } as const;
  return (await promisify(execFile)(BINARY, [...args, "--data", folder], options)).stdout;
}

/** The line that `serve --json` prints when it answers requests. */
interface Ready {
  address: string;
  sign_in: string;
}

function parseReady(line: string): Ready | null {
  try {
    const said = JSON.parse(line) as Partial<Ready>;
    return said.address && said.sign_in ? (said as Ready) : null;
  } catch {
    return null;
  }
}
