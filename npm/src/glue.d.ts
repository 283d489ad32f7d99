/** What the built `glue.js` exports; written by wasm-bindgen from `sdk-wasm/src/boundary.rs`. */

export class Client {
  constructor(settings: unknown, url: string, onReport: (code: string, detail: string) => void);
  track(name: string, propsJson: string, wallMs: number, monoMs: number, address?: string): void;
  identify(userId: string, traitsJson: string, wallMs: number, monoMs: number, address?: string): void;
  exposure(experiment: string, variant: string | undefined, wallMs: number, monoMs: number, address?: string): void;
  variant(experiment: string): string | undefined;
  reset(): void;
  optIn(): void;
  optOut(): void;
  flush(): Promise<boolean>;
  lost(): string;
}

export default function start(source: { module_or_path: Promise<Response> | BufferSource }): Promise<unknown>;
