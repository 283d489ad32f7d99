//! A few lines of HTTP: what came back is a value, whatever the status.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, when there is one.
    pub retry_after: Option<String>,
    /// The media type.
    pub content_type: String,
    /// All headers that are text, by their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// The body as JSON, `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The permanent code of a problem document, empty when the body is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A client that keeps its connections; cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Client(ureq::Agent);

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Client(config.into())
    }
}

impl Client {
    /// `GET path`, with a bearer key when one is given.
    ///
    /// # Errors
    /// When no whole answer came: refused, reset, timed out.
    pub fn get(&self, at: SocketAddr, path: &str, key: Option<&str>) -> Result<Reply, ureq::Error> {
        let mut request = self.0.get(format!("http://{at}{path}"));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        read(request.call()?)
    }

    /// `POST path` with these headers and this body.
    ///
    /// # Errors
    /// When no whole answer came: refused, reset, timed out.
    pub fn post(
        &self,
        at: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        self.send("POST", at, path, headers, body)
    }

    /// Any method with these headers and this body.
    ///
    /// # Errors
    /// When no whole answer came: refused, reset, timed out.
    pub fn send(
        &self,
        method: &str,
        at: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("http://{at}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match method {
            "GET" => read(self.0.run(request.body(())?)?),
            _ => read(self.0.run(request.body(body)?)?),
        }
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (status, retry_after) = (response.status().as_u16(), header("retry-after"));
    let content_type = header("content-type").unwrap_or_default();
    let text_of = |value: &ureq::http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = response.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text_of(value)?)));
    let headers = headers.collect();
    let mut bytes = Vec::new();
    response.into_body().into_reader().read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Reply { status, retry_after, content_type, headers, text })
}
