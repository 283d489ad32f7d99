/**
 * The other tabs of this origin: what they deliver, so that a tab that is closed does not send once
 * more what another one is sending, or has sent, from the store they share.
 *
 * Only a courtesy: without it everything arrives as well, some of it twice.
 */

interface Message {
  /** Ids of parcels that are delivered. */
  done?: string[];
  /** A tab was left and relies on the others. */
  left?: true;
  /** A tab stored something: is anybody there, should it be closed before that is sent? */
  ask?: true;
  /** Somebody is. */
  here?: true;
}

/** A tab that said something so recently takes over what a closing one leaves. */
const ACTIVE_MS = 3_000;
/** Between two questions. */
const ASK_MS = 500;

export class Peers {
  #channel: BroadcastChannel | undefined;
  #heardMs = -Infinity;
  #askedMs = -Infinity;

  constructor(
    private readonly name: string,
    private readonly on: (message: Message) => void,
  ) {
    this.open();
  }

  /** Whether one was heard just now. */
  get areActive(): boolean {
    return performance.now() - this.#heardMs < ACTIVE_MS;
  }

  tell(message: Message): void {
    // Whoever listens for what waits hears of the next event at once.
    if (message.done) this.#askedMs = -Infinity;
    this.#channel?.postMessage(message);
  }

  /** Something is stored that is not sent. A question now: there is no time for the answer when a page goes. */
  ask(): void {
    const now = performance.now();
    if (now - this.#askedMs < ASK_MS) return;
    this.#askedMs = now;
    this.tell({ ask: true });
  }

  open(): void {
    if (this.#channel || typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      // Who leaves is not there any more, and who asks may be hidden.
      if (data.done || data.here) this.#heardMs = performance.now();
      // Nobody relies on a page that may be frozen in a moment.
      if (data.ask && globalThis.document?.visibilityState === "visible") this.tell({ here: true });
      this.on(data);
    };
  }

  /** An open channel can keep a page from the way back. */
  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }
}
