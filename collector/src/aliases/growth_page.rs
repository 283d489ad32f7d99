//! `GET /admin/metrics`: the growth report as a page for admins, which prints on one sheet.
//!
//! Deliberately elsewhere: the figures and their plain text (`growth`).

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::Tenant;
use crate::app::App;
use crate::config::Config;
use crate::dashboard::words::filters;
use crate::dashboard::{Shell, show};
use crate::error::ApiError;
use crate::extract::Params;
use crate::growth::{self, Wanted};
use crate::meta::projects::Project;

#[derive(Template)]
#[template(path = "growth.html")]
struct Growth<'a> {
    shell: Shell,
    project: &'a Project,
    generated: String,
    /// Parameters for the plain text, to follow others.
    more: String,
    people: [String; 2],
    rows: Vec<CohortRow>,
    totals: Vec<(&'static str, String, u64)>,
}

struct CohortRow {
    from: String,
    size: u64,
    cells: [(&'static str, String); 2],
}

/// How good a share is, as the style sheet names it.
fn class(percent: Option<f64>, config: &Config) -> &'static str {
    match percent {
        None => "unknown",
        Some(percent) if percent >= f64::from(config.retention_good_percent) => "good",
        Some(percent) if percent >= f64::from(config.retention_fair_percent) => "fair",
        Some(_) => "poor",
    }
}

/// The page. Takes the parameters of the plain text.
pub async fn show_page(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(wanted): Params<Wanted>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let figures = growth::figures(&app, &project, &wanted).await?;
    let known =
        |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
    let rows = figures.cohorts().map(|cohort| CohortRow {
        from: cohort.from.to_owned(),
        size: cohort.size,
        cells: cohort.percent.map(|percent| {
            let text = percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1}%"));
            (class(percent, &app.config), text)
        }),
    });
    let totals = ["💶", "📄", "🏁"].into_iter().chain(std::iter::repeat("•"));
    let totals =
        totals.zip(&figures.totals).map(|(icon, (title, count))| (icon, title.clone(), *count));
    // What else was asked for; the project is named anyhow.
    let query = query.unwrap_or_default();
    let more = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("project="));
    let page = Growth {
        shell: Shell::new(),
        project: &project,
        generated: figures.now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        more: more.map(|part| format!("&{part}")).collect(),
        people: figures.people.map(known),
        rows: rows.collect(),
        totals: totals.collect(),
    };
    let mut response = show(StatusCode::OK, &page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

/// As other pages, and the script that takes the figures anew.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

const SCRIPT: &str = include_str!("../../assets/growth.js");
const STYLE: &str = include_str!("../../assets/growth.css");

/// `GET /admin/metrics.js`: what takes the figures anew.
pub async fn show_script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// `GET /admin/metrics.css`: how the page looks, on paper too.
pub async fn show_style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::good(Some(40.0), "good")]
    #[case::just_not_good(Some(39.9), "fair")]
    #[case::fair(Some(20.0), "fair")]
    #[case::just_not_fair(Some(19.9), "poor")]
    #[case::nothing(Some(0.0), "poor")]
    #[case::unknown(None, "unknown")]
    fn s1_23_a_share_is_coloured_by_the_settings(#[case] percent: Option<f64>, #[case] want: &str) {
        assert_eq!(class(percent, &Config::default()), want);
        let strict =
            Config { retention_good_percent: 101, retention_fair_percent: 0, ..Config::default() };
        assert_eq!(class(percent, &strict), if percent.is_some() { "fair" } else { "unknown" });
    }
}
