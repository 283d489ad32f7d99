//! `GET /sdk/…`: files for pages of any site.

use std::borrow::Cow;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::{BUILD, find};
use crate::app::App;
use crate::error::ApiError;
use crate::experiments::served::{has_it, tag};

/// A file of a build never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Which build is the newest does, with the next version of the collector.
const SHORTLY: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A file of the newest build, by its lasting address.
#[utoipa::path(
    get, path = "/sdk/{file}", tag = "sdk",
    params(("file" = String, Path, description = "`tallymark.js` for a script tag, `index.js` for a module")),
    responses(
        (status = 307, description = "To the same file of the newest build"),
        (status = 404, description = "No such file, or this collector was built without the SDK", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn find_newest(Path(file): Path<String>) -> Response {
    let mut response = match find(&file) {
        Some(file) => {
            Redirect::temporary(&format!("/sdk/{}/{}", *BUILD, file.name)).into_response()
        }
        None => ApiError::NotFound.into_response(),
    };
    if response.status().is_redirection() {
        response.headers_mut().insert(header::CACHE_CONTROL, SHORTLY);
    }
    for_any_page(response)
}

/// A file of the browser SDK. It never changes; builds of earlier versions of the collector stay.
#[utoipa::path(
    get, path = "/sdk/{build}/{file}", tag = "sdk",
    params(
        ("build" = String, Path, description = "The build, as `tallymark snippet` prints it"),
        ("file" = String, Path, description = "The file's name"),
    ),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/javascript"),
        (status = 304, description = "The caller has it, by `If-None-Match`"),
        (status = 404, description = "No such build or file", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn serve_file(
    State(app): State<App>,
    Path((build, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = match load(&app, &build, &file, &headers).await {
        Ok(found) => found,
        Err(error) => return for_any_page(error.into_response()),
    };
    let etag = tag(&format!("{build}/{file}"));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = match known.is_some_and(|known| has_it(known, &etag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => found.into_response(&file),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    for_any_page(response)
}

struct Found {
    bytes: Cow<'static, [u8]>,
    is_brotli: bool,
}

impl Found {
    fn into_response(self, file: &str) -> Response {
        let mut response = self.bytes.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(file)));
        if self.is_brotli {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        }
        response
    }
}

async fn load(app: &App, build: &str, file: &str, headers: &HeaderMap) -> Result<Found, ApiError> {
    if build != *BUILD {
        let kept = app.meta.sdk_files().find(build, file).await?;
        let bytes = kept.ok_or(ApiError::NotFound)?.into();
        return Ok(Found { bytes, is_brotli: false });
    }
    let file = find(file).ok_or(ApiError::NotFound)?;
    let packed = file.brotli.filter(|_| takes_brotli(headers));
    Ok(Found { bytes: packed.unwrap_or(file.bytes).into(), is_brotli: packed.is_some() })
}

/// Whether the caller can unpack brotli.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let lists =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("br") && !refused
    })
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn for_any_page(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::browsers("gzip, deflate, br, zstd", true)]
    #[case::weighed("br;q=0.5", true)]
    #[case::refused("gzip, br; q=0", false)]
    #[case::other("gzip", false)]
    #[case::in_a_word("brand", false)]
    #[case::nothing("", false)]
    fn brotli_is_taken_by(#[case] accepts: &str, #[case] want: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accepts).unwrap());
        assert_eq!(takes_brotli(&headers), want);
    }
}
