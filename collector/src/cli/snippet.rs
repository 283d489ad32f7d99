//! `tallymark snippet`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::folder::Folder;
use crate::keys::{Key, KeyKind};
use crate::meta::Meta;
use crate::sdk;
use crate::sdk::snippet::Snippet;

/// Arguments of `snippet`.
#[derive(Debug, Args)]
pub struct SnippetArgs {
    /// The project's write key, `tm_pk_…`, as `project create` printed it.
    #[arg(long, value_name = "KEY")]
    key: String,
}

/// Run the command.
pub async fn run(
    args: SnippetArgs,
    folder: &Folder,
    config: &Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    folder.must_exist()?;
    let key = Key::parse(&args.key).context("--key is no key: it begins with tm_pk_")?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let now_ms = Clock::System.now_ms();
    let found = meta.find_key(&key.mac(&folder.pepper()?), now_ms).await?;
    let (project, access) = found.context("this key is unknown here, was revoked or is over")?;
    anyhow::ensure!(
        access.kind == KeyKind::Public,
        "this is a secret key, which must not be in a page: take the write key, tm_pk_…"
    );
    sdk::keep(&meta).await?;
    let endpoint = endpoint(config);
    let snippet = Snippet { endpoint: &endpoint, write_key: &args.key, salt: &project.salt };
    let html = snippet.html().context(
        "this binary was built without the SDK; `cargo xtask build` makes one that has it",
    )?;
    if as_json {
        println!("{}", json!({ "html": html, "build": *sdk::BUILD, "endpoint": endpoint }));
    } else {
        println!("{html}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The collector's address as pages know it.
pub fn endpoint(config: &Config) -> String {
    match config.public_url.trim_end_matches('/') {
        "" => format!("http://{}", config.listen),
        url => url.to_owned(),
    }
}
