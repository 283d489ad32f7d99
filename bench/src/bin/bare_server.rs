//! The least a server can do: read a body, drop it, answer 200. What ingest is compared with.
//!
//! Built of the same parts as the collector (axum on tokio), so that the difference is what the
//! collector adds: parsing, checking, hashing, deduplication and the sync to disk.

use axum::{Json, Router, body::Bytes, extract::DefaultBodyLimit, routing::post};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let drop_body = |body: Bytes| async move { Json::<Value>(json!({ "bytes": body.len() })) };
    let app =
        Router::new().route("/v1/batch", post(drop_body)).layer(DefaultBodyLimit::max(1 << 20));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({ "address": listener.local_addr()?.to_string() }));
    axum::serve(listener, app).await?;
    Ok(())
}
