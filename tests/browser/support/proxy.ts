/**
 * A bad network between page and collector: it can be slow, fail, lie, cut, or swallow answers.
 *
 * In: requests of the page. Out: the collector's answers, or what {@link Proxy.behave} says
 * instead. It keeps every body it saw, unpacked, so that tests can read what went over the wire.
 */

import { createServer, request as forward, type ClientRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";

/** What happens to one request. */
export type Behaviour =
  | "pass"
  /** The connection is reset before the collector hears of it. */
  | "reset"
  /** The collector hears half of the body, then the connection is cut on both sides. */
  | "cut-body"
  /** The collector stores the batch and the answer is lost. */
  | "lose-answer"
  /** The collector stores the batch, the answer stops half-way and the connection stays open. */
  | "stall-answer"
  /** The collector stores the batch, the answer stops half-way and the connection is cut. */
  | "cut-answer"
  | { status: number; headers?: Record<string, string>; body?: string }
  | { passAfterMs: number };

export interface SeenBatch {
  /** When it arrived here, Unix milliseconds. */
  at: number;
  /** When it was answered, or given up. */
  answeredAt?: number;
  /** The body as text, after decompression. */
  text: string;
  bytes: number;
  events: SentEvent[];
  nonce: string;
  /** What its page says it has lost. */
  lost?: Record<string, number>;
}

/** One event as it went over the wire. */
export interface SentEvent {
  id: string;
  name: string;
  at: number;
  writer: string;
  n: number;
  device?: string;
  user?: string;
  session?: string;
  props?: Record<string, unknown>;
}

export class Proxy {
  /** Every batch that arrived, in order, those that were not let through included. */
  readonly batches: SeenBatch[] = [];
  /** The visitor's address, told to the collector as proxies do. */
  visitor: string | undefined;
  /** Decides about batch number `index` (from 0). */
  behave: (index: number) => Behaviour = () => "pass";

  private constructor(
    private readonly server: Server,
    readonly origin: string,
  ) {}

  static async start(target: string): Promise<Proxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address !== "object" || !address) throw new Error("the proxy has no port");
    const proxy = new Proxy(server, `http://127.0.0.1:${address.port}`);
    server.on("request", (incoming, outgoing) => void proxy.handle(target, incoming, outgoing));
    return proxy;
  }

  /** All events that arrived, resent ones once per sending. */
  sent(): SentEvent[] {
    return this.batches.flatMap((batch) => batch.events);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async handle(target: string, incoming: IncomingMessage, outgoing: ServerResponse) {
    const chunks: Buffer[] = [];
    if (this.visitor) incoming.headers["x-forwarded-for"] = this.visitor;
    outgoing.on("error", () => undefined);
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // A browser that is killed cuts its request, and the collector never hears of it.
    }
    const body = Buffer.concat(chunks);
    const isBatch = incoming.method === "POST" && (incoming.url ?? "").startsWith("/v1/batch");
    const batch = isBatch ? this.record(body) : undefined;
    outgoing.on("close", () => {
      if (batch) batch.answeredAt = Date.now();
    });
    const behaviour = batch ? this.behave(this.batches.indexOf(batch)) : "pass";

    if (behaviour === "reset") {
      incoming.socket.resetAndDestroy();
    } else if (behaviour === "cut-body") {
      const outgoing = announce(target, incoming, body);
      outgoing.on("error", () => undefined);
      outgoing.write(body.subarray(0, body.length / 2), () => {
        outgoing.destroy();
        incoming.socket.resetAndDestroy();
      });
    } else if (behaviour === "pass") {
      pass(target, incoming, body, (status, headers, answer) => {
        outgoing.writeHead(status, headers).end(answer);
      });
    } else if (behaviour === "lose-answer") {
      pass(target, incoming, body, () => incoming.socket.resetAndDestroy());
    } else if (behaviour === "stall-answer" || behaviour === "cut-answer") {
      pass(target, incoming, body, (status, headers, answer) => {
        outgoing.writeHead(status, headers).write(answer.subarray(0, answer.length / 2), () => {
          if (behaviour === "cut-answer") incoming.socket.destroy();
        });
      });
    } else if ("passAfterMs" in behaviour) {
      setTimeout(() => {
        pass(target, incoming, body, (status, headers, answer) => {
          outgoing.writeHead(status, headers).end(answer);
        });
      }, behaviour.passAfterMs);
    } else {
      const headers = { "access-control-allow-origin": "*", "access-control-expose-headers": "retry-after" };
      outgoing.writeHead(behaviour.status, { ...headers, ...behaviour.headers }).end(behaviour.body);
    }
  }

  private record(body: Buffer): SeenBatch {
    const text = (body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body).toString("utf8");
    const parsed = JSON.parse(text) as Pick<SeenBatch, "events" | "nonce" | "lost">;
    const batch = { at: Date.now(), text, bytes: body.length, ...parsed };
    this.batches.push(batch);
    return batch;
  }
}

type Answered = (status: number, headers: IncomingMessage["headers"], body: Buffer) => void;

/** A request like this one whose body is still to be written. */
function announce(target: string, incoming: IncomingMessage, body: Buffer): ClientRequest {
  const address = new URL(incoming.url ?? "/", target);
  const headers = { ...incoming.headers, host: address.host, "content-length": String(body.length) };
  return forward(address, { method: incoming.method, headers });
}

function pass(target: string, incoming: IncomingMessage, body: Buffer, answered: Answered): void {
  const outgoing = announce(target, incoming, body);
  outgoing.on("response", (reply) => {
    const chunks: Buffer[] = [];
    reply.on("data", (chunk: Buffer) => chunks.push(chunk));
    reply.on("end", () => answered(reply.statusCode ?? 502, reply.headers, Buffer.concat(chunks)));
  });
  outgoing.on("error", () => incoming.socket.resetAndDestroy());
  outgoing.end(body);
}
