//! The daily export to a bucket, at a store that checks every signature and loses requests when a test asks for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tallymark::bulk::bucket::Bucket;
use tallymark::bulk::schedule;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";

/// A store of objects.
#[derive(Clone, Default)]
struct Objects(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By path: as of when, and what is in it.
    objects: BTreeMap<String, (String, Vec<u8>)>,
    /// By id.
    uploads: HashMap<String, Several>,
    begun: usize,
    /// Answers that are left to be 503.
    trouble: usize,
    /// Whether no upload can be ended: an error in an answer 200, as S3 has it.
    ends_badly: bool,
    asked: Vec<String>,
    largest_body: usize,
}

/// An upload of several parts: path, as of when, parts.
type Several = (String, String, BTreeMap<usize, Vec<u8>>);

impl Objects {
    async fn start(&self) -> Config {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/figures/daily/", listener.local_addr().unwrap());
        let routes = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut config = Config::default();
        for (key, value) in [
            ("export_bucket", url.as_str()),
            ("export_bucket_key", "AKIAEXAMPLE"),
            ("export_bucket_secret", SECRET),
            ("export_bucket_region", "eu-test-1"),
            ("export_format", "jsonl"),
        ] {
            config.set(key, value).unwrap();
        }
        config
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn lines(&self, path: &str) -> Option<usize> {
        let inner = self.inner();
        let (_, body) = inner.objects.get(path)?;
        Some(String::from_utf8_lossy(body).lines().count())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether a request is signed with the secret, over all that S3 wants signed.
fn is_signed(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let auth = header("authorization");
    let part = |name: &str| {
        let (_, rest) = auth.split_once(&format!("{name}=")).unwrap_or_default();
        rest.split(',').next().unwrap_or_default().to_owned()
    };
    let (at, hash) = (header("x-amz-date"), header("x-amz-content-sha256"));
    let names = part("SignedHeaders");
    let names: Vec<&str> = names.split(';').collect();
    let must_be_signed = headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| *name == "host" || name.starts_with("x-amz-"));
    if !must_be_signed.into_iter().all(|name| names.contains(&name))
        || hash != hex(&Sha256::digest(body))
    {
        return false;
    }
    let lines: String = names.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
    let query = uri.query().unwrap_or_default();
    let canonical =
        format!("{method}\n{}\n{query}\n{lines}\n{}\n{hash}", uri.path(), names.join(";"));
    let scope = format!("{}/eu-test-1/s3/aws4_request", &at[..8]);
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = mac(format!("AWS4{SECRET}").as_bytes(), &at[..8]);
    for part in ["eu-test-1", "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    part("Signature") == hex(&mac(&key, &to_sign))
        && part("Credential") == format!("AKIAEXAMPLE/{scope}")
}

async fn answer(
    State(objects): State<Objects>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inner = objects.inner();
    inner.asked.push(format!("{method} {uri}"));
    inner.largest_body = inner.largest_body.max(body.len());
    if inner.trouble > 0 {
        inner.trouble -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let error = |status: u16, code: &str| {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        (StatusCode::from_u16(status).unwrap(), text).into_response()
    };
    if !is_signed(&method, &uri, &headers, &body) {
        return error(403, "SignatureDoesNotMatch");
    }
    let path = uri.path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let as_of = headers.get("x-amz-meta-as-of-ms").map(|value| value.to_str().unwrap().to_owned());
    match (method.as_str(), query.get("uploadId"), query.get("partNumber")) {
        ("HEAD", None, None) => match inner.objects.get(&path) {
            Some((as_of, _)) => [("x-amz-meta-as-of-ms", as_of.clone())].into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        ("PUT", None, None) => {
            inner.objects.insert(path, (as_of.unwrap(), body.to_vec()));
            StatusCode::OK.into_response()
        }
        ("POST", None, None) if query.contains_key("uploads") => {
            inner.begun += 1;
            let id = format!("up/load+{}&=", inner.begun);
            let shown = id.replace('&', "&amp;");
            inner.uploads.insert(id, (path, as_of.unwrap(), BTreeMap::new()));
            format!("<InitiateMultipartUploadResult><UploadId>{shown}</UploadId></InitiateMultipartUploadResult>")
                .into_response()
        }
        ("PUT", Some(id), Some(number)) => {
            let Some((_, _, parts)) = inner.uploads.get_mut(id) else {
                return error(404, "NoSuchUpload");
            };
            parts.insert(number.parse().unwrap(), body.to_vec());
            [("etag", format!("\"tag-{number}\""))].into_response()
        }
        ("POST", Some(id), None) if inner.ends_badly => {
            assert!(inner.uploads.contains_key(id));
            let mut bad = error(200, "InternalError");
            *bad.status_mut() = StatusCode::OK;
            bad
        }
        ("POST", Some(id), None) => {
            let Some((path, as_of, parts)) = inner.uploads.remove(id) else {
                return error(404, "NoSuchUpload");
            };
            let list: String = parts
                .keys()
                .map(|number| format!("<Part><PartNumber>{number}</PartNumber><ETag>&quot;tag-{number}&quot;</ETag></Part>"))
                .collect();
            assert_eq!(
                String::from_utf8_lossy(&body),
                format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>")
            );
            inner.objects.insert(path, (as_of, parts.into_values().flatten().collect()));
            "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".into_response()
        }
        ("DELETE", Some(id), None) => {
            inner.uploads.remove(id);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => error(400, "InvalidRequest"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_exported_to_a_bucket_when_they_are_over_and_once_more_when_they_are_settled() {
    let objects = Objects::default();
    let service = service_with(objects.start().await).await;
    let day = "/figures/daily/shop/2026-11-22.jsonl";
    service.batch(json!([event(1), event(2)])).await;
    assert_eq!(schedule::run(&service.app).await.unwrap(), 0, "the day goes on");
    service.app.clock.advance(86_400_000);
    assert_eq!((schedule::run(&service.app).await.unwrap(), objects.lines(day)), (1, Some(2)));
    service.as_server(&service.secret_key, json!([event(3)])).await;
    // It comes through troubles that pass.
    objects.inner().trouble = 2;
    assert_eq!((schedule::run(&service.app).await.unwrap(), objects.lines(day)), (1, Some(3)));
    service.app.clock.advance(4 * 86_400_000);
    assert_eq!(schedule::run(&service.app).await.unwrap(), 5);
    assert_eq!(schedule::run(&service.app).await.unwrap(), 3, "what is settled stays as it is");
    let asked = objects.inner().asked.clone();
    assert!(asked.iter().all(|ask| ask.contains(" /figures/daily/shop/2026-11-2")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_is_an_error_with_its_word_and_shows_no_secret() {
    let objects = Objects::default();
    let mut config = objects.start().await;
    config.set("export_bucket_secret", "another").unwrap();
    let service = service_with(config).await;
    service.app.clock.advance(86_400_000);
    let error = schedule::run(&service.app).await.unwrap_err();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.contains("403") && !said.contains("another"), "{said}");
    assert_eq!(objects.inner().asked.len(), 1, "what is refused is not tried again at once");

    for (key, value, words) in [
        ("export_bucket_key", "", "needs export_bucket_key"),
        ("export_bucket", "http://s3.example.org/figures", "https://"),
        ("export_bucket", "https://s3.example.org/fig%20ures", "letters, digits"),
    ] {
        let mut config = objects.start().await;
        config.set(key, value).unwrap();
        let refused = Bucket::of(&config, &Clock::System).unwrap_err();
        assert!(format!("{refused:#}").contains(words), "{refused:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_a_part_goes_in_parts_and_is_taken_back_when_it_cannot_be_ended() {
    let objects = Objects::default();
    let config = objects.start().await;
    const PART: usize = 16 << 20;
    let send = |bytes: usize| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            use std::io::Write;
            let bucket = Bucket::of(&config, &Clock::manual(NOW)).unwrap().unwrap();
            let mut out = bucket.upload("shop/large");
            let piece: Vec<u8> = (0..1_000_003u32).map(|index| (index % 251) as u8).collect();
            let mut left = bytes;
            while left > 0 {
                let now = left.min(piece.len());
                out.write_all(&piece[..now])?;
                left -= now;
            }
            out.finish()
        })
    };
    let stored =
        || objects.inner().objects.get("/figures/daily/shop/large").map(|(_, body)| body.len());
    for (bytes, parts) in [(0, 0), (PART, 0), (PART + 1, 2), (2 * PART, 2), (2 * PART + 7, 3)] {
        objects.inner().asked.clear();
        send(bytes).await.unwrap().unwrap();
        assert_eq!(stored(), Some(bytes));
        let asked = objects.inner().asked.clone();
        let sent = asked.iter().filter(|ask| ask.contains("partNumber=")).count();
        assert_eq!(sent, parts, "{bytes} bytes: {asked:?}");
    }
    assert!(objects.inner().largest_body <= PART);
    objects.inner().ends_badly = true;
    let error = send(2 * PART).await.unwrap().unwrap_err();
    assert!(format!("{error:#}").contains("InternalError"), "{error:#}");
    assert!(objects.inner().uploads.is_empty(), "what was sent is taken back");
    assert_eq!(stored(), Some(2 * PART + 7), "the object that was there stays");
}
