//! A few lines of HTTP, for checking that what was started answers.

use std::sync::LazyLock;

use anyhow::{Context, ensure};
use serde_json::Value;

/// `GET` that must answer 200; its text.
///
/// # Errors
/// When nothing or something else answers.
pub fn get(url: &str, cookie: &str) -> anyhow::Result<String> {
    let response = agent().get(url).header("cookie", cookie).call();
    read(url, response.with_context(|| format!("{url} does not answer"))?)
}

/// `POST` of JSON with a bearer key that must answer 200 with JSON.
///
/// # Errors
/// When nothing or something else answers.
pub fn post(url: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
    let text = post_text(url, key, body)?;
    serde_json::from_str(&text).with_context(|| format!("{url} answered no JSON: {text}"))
}

/// The same, as it came.
///
/// # Errors
/// When nothing or something else answers.
pub fn post_text(url: &str, key: &str, body: &Value) -> anyhow::Result<String> {
    let request = agent()
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"));
    let response = request.send(body.to_string());
    read(url, response.with_context(|| format!("{url} does not answer"))?)
}

/// Open a sign-in link as a browser does; the session's cookie.
///
/// # Errors
/// When nothing answers, or no cookie is set.
pub fn sign_in(link: &str) -> anyhow::Result<String> {
    let response = agent().get(link).call().with_context(|| format!("{link} does not answer"))?;
    let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    let pair = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    pair.with_context(|| format!("{link} answered {} and set no session", response.status()))
}

fn read(url: &str, response: ureq::http::Response<ureq::Body>) -> anyhow::Result<String> {
    let status = response.status();
    let text = response.into_body().read_to_string()?;
    ensure!(status == 200, "{url} answered {status}: {text}");
    Ok(text)
}

/// One, which keeps its connections.
fn agent() -> &'static ureq::Agent {
    static AGENT: LazyLock<ureq::Agent> = LazyLock::new(|| {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(300)));
        config.build().into()
    });
    &AGENT
}
