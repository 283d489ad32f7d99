/**
 * The glue that wasm-bindgen writes for each module: the build finds it under these names (see
 * xtask/src/build_sdk/package.rs).
 */

/** From `sdk-wasm/src/boundary.rs`. */
declare module "tallymark-glue/tallymark" {
  /** Says which instance the functions call. */
  export function __wbg_set_wasm(exports: WebAssembly.Exports): void;

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
}
