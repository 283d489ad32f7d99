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
}

/** A tab that sent something so recently takes over what a closing one leaves. */
const ACTIVE_MS = 2_000;

export class Peers {
  private channel: BroadcastChannel | undefined;
  private heardMs = -Infinity;

  constructor(
    private readonly name: string,
    private readonly on: (message: Message) => void,
  ) {
    this.open();
  }

  /** Whether one was heard just now. */
  get areActive(): boolean {
    return performance.now() - this.heardMs < ACTIVE_MS;
  }

  tell(message: Message): void {
    this.channel?.postMessage(message);
  }

  open(): void {
    if (this.channel || typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }: MessageEvent<Message>) => {
      // Who leaves is not there any more.
      if (!data.left) this.heardMs = performance.now();
      this.on(data);
    };
  }

  /** An open channel can keep a page from the way back. */
  close(): void {
    this.channel?.close();
    this.channel = undefined;
  }
}
