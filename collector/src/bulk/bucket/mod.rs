//! A bucket of an S3-compatible store, to write files into.
//!
//! In: a name and bytes as they come. Out: an object that is there whole or not at all, under a name that is written over when the
//! same day is exported again. At most one part is in memory; what fails in passing is tried again, and an upload that
//! cannot be ended is taken back.
//!
//! Deliberately elsewhere: what is written and when (`schedule`).

pub mod sign;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ureq::Body;
use ureq::http::{Request as HttpRequest, Response, StatusCode, header};

use crate::clock::Clock;
use crate::config::Config;
use crate::outbound::{agent, trusted_url};
use sign::{Request, Signer, encoded, hash, moment};

/// Bytes of a part, all but the last: 10,000 of them are the most an object has, so it has at most 160 GB.
const PART_BYTES: usize = 16 << 20;
const PARTS_MAX: usize = 10_000;
/// The header that keeps as of when an object is.
const AS_OF: &str = "x-amz-meta-as-of-ms";
/// Time to send a part and to hear about it.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Before a request is tried again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4)];
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 64 << 10;

/// A place in a bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `https://host`, or with a port.
    origin: String,
    host: String,
    /// Before every name, without a `/` at its end.
    path: String,
    signer: Signer,
    clock: Clock,
    part_bytes: usize,
}

impl Bucket {
    /// By the settings; `None` where they name none.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn of(config: &Config, clock: &Clock) -> anyhow::Result<Option<Self>> {
        if config.export_bucket.is_empty() {
            return Ok(None);
        }
        let url = trusted_url(&config.export_bucket)
            .map_err(anyhow::Error::msg)
            .context("export_bucket")?;
        let plain = |char: char| char.is_ascii_alphanumeric() || "-._~/".contains(char);
        ensure!(
            url.path().chars().all(plain) && url.query().is_none() && url.fragment().is_none(),
            "export_bucket: its path has letters, digits and -._~ only"
        );
        let (key_id, secret) =
            (config.export_bucket_key.as_str(), config.export_bucket_secret.reveal());
        let (false, Some(secret)) = (key_id.is_empty(), secret) else {
            bail!("export_bucket needs export_bucket_key and export_bucket_secret");
        };
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let signer = Signer {
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
            region: config.export_bucket_region.clone(),
        };
        Ok(Some(Self {
            origin: format!("{}://{host}", url.scheme()),
            host,
            path: url.path().trim_end_matches('/').to_owned(),
            signer,
            clock: clock.clone(),
            part_bytes: PART_BYTES,
        }))
    }

    /// As of when an object was written by us, Unix milliseconds, if it is there. Blocks.
    ///
    /// # Errors
    /// When the bucket does not say.
    pub fn written_ms(&self, name: &str) -> anyhow::Result<Option<i64>> {
        let answer = self.ask(Ask { method: "HEAD", name, ..Ask::default() })?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(answer.good()?.as_of.and_then(|as_of| as_of.parse().ok()))
    }

    /// Begin an object, as of now. It is there once [`Upload::finish`] has returned.
    pub fn upload<'a>(&'a self, name: &'a str) -> Upload<'a> {
        let as_of = self.clock.now_ms().to_string();
        Upload { bucket: self, name, as_of, part: Vec::new(), id: None, tags: Vec::new() }
    }

    fn ask(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = self.ask_once(ask);
            let is_passing = match &outcome {
                Ok(answer) => {
                    answer.status.is_server_error()
                        || answer.status == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            match pauses.next() {
                Some(pause) if is_passing => std::thread::sleep(*pause),
                _ => {
                    return outcome
                        .with_context(|| format!("the bucket at {} cannot be used", self.origin));
                }
            }
        }
    }

    fn ask_once(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let Ask { method, name, query, body, as_of } = ask;
        let path = format!("{}/{name}", self.path);
        let (at, body_hash) = (moment(self.clock.now_ms()), hash(body));
        let request = Request {
            method,
            host: &self.host,
            path: &path,
            query,
            body_hash: &body_hash,
            at: &at,
        };
        let more: Vec<_> = as_of.map(|as_of| (AS_OF, as_of)).into_iter().collect();
        let authorization = self.signer.authorization(&request, &more);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = HttpRequest::builder()
            .method(method)
            .uri(format!("{}{path}{mark}{query}", self.origin))
            .header("x-amz-content-sha256", &body_hash)
            .header("x-amz-date", &at)
            .header(header::AUTHORIZATION, authorization);
        for (name, value) in more {
            request = request.header(name, value);
        }
        let request =
            agent().configure_request(request.body(body)?).timeout_global(Some(TIMEOUT)).build();
        Answer::read(agent().run(request)?)
    }
}

/// What is asked of the bucket.
#[derive(Clone, Copy, Default)]
struct Ask<'a> {
    method: &'a str,
    name: &'a str,
    query: &'a str,
    body: &'a [u8],
    as_of: Option<&'a str>,
}

/// What the bucket answers.
struct Answer {
    status: StatusCode,
    tag: Option<String>,
    as_of: Option<String>,
    body: String,
}

impl Answer {
    fn read(mut response: Response<Body>) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (tag, as_of) = (text("etag"), text(AS_OF));
        let body = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Self { status: response.status(), tag, as_of, body })
    }

    /// Itself, unless it says that something went wrong, which an answer 200 may do too.
    fn good(self) -> anyhow::Result<Self> {
        if self.status.is_success() && !self.body.contains("<Error>") {
            return Ok(self);
        }
        let code = element(&self.body, "Code").unwrap_or_default();
        bail!("the bucket answers {} {code}", self.status)
    }
}

/// The text of an XML element without children, where it stands first.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// An object on its way.
#[derive(Debug)]
pub struct Upload<'a> {
    bucket: &'a Bucket,
    name: &'a str,
    as_of: String,
    part: Vec<u8>,
    /// From the second part on.
    id: Option<String>,
    tags: Vec<String>,
}

impl Upload<'_> {
    /// Send the rest and make the object. Blocks.
    ///
    /// # Errors
    /// When the bucket does not take it; then there is no object, or the one that was there before.
    pub fn finish(mut self) -> anyhow::Result<()> {
        if self.id.is_none() {
            let part = std::mem::take(&mut self.part);
            let as_of = Some(self.as_of.as_str());
            let ask = Ask { method: "PUT", name: self.name, body: &part, as_of, ..Ask::default() };
            self.bucket.ask(ask)?.good()?;
            return Ok(());
        }
        if !self.part.is_empty() {
            self.send_part()?;
        }
        let id = self.id.clone().context("several parts have an upload")?;
        let parts = self.tags.iter().enumerate().map(|(index, tag)| {
            let number = index + 1;
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escaped(tag))
        });
        let list = parts.collect::<String>();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = format!("uploadId={}", encoded(&id));
        let (name, query, body) = (self.name, query.as_str(), body.as_bytes());
        self.bucket.ask(Ask { method: "POST", name, query, body, as_of: None })?.good()?;
        self.id = None;
        Ok(())
    }

    fn send_part(&mut self) -> anyhow::Result<()> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let (query, as_of) = ("uploads=", Some(self.as_of.as_str()));
                let ask = Ask { method: "POST", name: self.name, query, body: &[], as_of };
                let answer = self.bucket.ask(ask)?.good()?;
                let id =
                    element(&answer.body, "UploadId").context("the bucket begins no upload")?;
                self.id.insert(id).clone()
            }
        };
        let number = self.tags.len() + 1;
        ensure!(number <= PARTS_MAX, "{} is larger than an object can be", self.name);
        let query = format!("partNumber={number}&uploadId={}", encoded(&id));
        let (name, query, body) = (self.name, query.as_str(), self.part.as_slice());
        let answer =
            self.bucket.ask(Ask { method: "PUT", name, query, body, as_of: None })?.good()?;
        self.tags.push(answer.tag.context("the bucket does not say what it has")?);
        self.part.clear();
        Ok(())
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full part waits for the next byte: what fits one part is sent without an upload of several.
        if self.part.len() == self.bucket.part_bytes {
            self.send_part().map_err(io::Error::other)?;
        }
        let count = bytes.len().min(self.bucket.part_bytes - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload<'_> {
    /// What was sent of it is paid for until it is taken back.
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let query = format!("uploadId={}", encoded(&id));
            let (name, query) = (self.name, query.as_str());
            let ask = Ask { method: "DELETE", name, query, ..Ask::default() };
            let outcome = self.bucket.ask(ask).and_then(Answer::good);
            if let Err(error) = outcome {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "an upload that failed could not be taken back"
                );
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
