//! `GET /api/admin/metrics`: a business at a glance.
//!
//! In: a range of days up to now. Out: figures that are answers to questions anybody can ask:
//!
//! - `totalUsers`: people with a `user_registered` event, ever: `trend`, persons.
//! - `monthlyRecurringRevenue`, `revenue`: `revenue`, at the end of the range and over it. Currencies are never added up:
//!   the short field is of the only currency, and `null` where there are several.
//! - `revenueGrowth`: revenue against the same number of days before, as a ratio; `null` where there was none.
//! - `conversionRate`: people who paid for the first time, in percent of those who were active.

use axum::Json;
use axum::extract::State;
use jiff::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tallymark_analysis::AnswerBody;
use tallymark_analysis::revenue::RevenueAnswer;

use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Params;
use crate::meta::projects::Project;

/// Of which days.
#[derive(Debug, Deserialize)]
pub struct BusinessParams {
    range: Option<String>,
}

/// Days by the name of a range.
fn days(range: &str) -> Option<i64> {
    match range {
        "7d" => Some(7),
        "30d" => Some(30),
        "90d" => Some(90),
        _ => None,
    }
}

/// Users, recurring revenue, conversion and growth of the last days, today included.
#[utoipa::path(
    get, path = "/api/admin/metrics", tag = "aliases", security(("secret_key" = ["analytics:read"])),
    params(
        ("range" = Option<String>, Query, description = "`7d`, `30d` (default) or `90d`"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses(
        (status = 200, description = "`{range, from, to, summary: {totalUsers, monthlyRecurringRevenue, conversionRate, revenue, revenueGrowth, activeUsers, currency}, currencies}`", body = serde_json::Value),
        (status = 400, description = "No such range", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_business(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(params): Params<BusinessParams>,
) -> Result<Json<Value>, ApiError> {
    let range = params.range.as_deref().unwrap_or("30d");
    let days = days(range).ok_or(ApiError::RangeUnknown)?;
    let [before, from, to] = limits(&app, &project, days)?;
    let users = persons(
        &app,
        &project,
        json!({ "from": "2000-01-01", "to": to,
        "bucket": "month", "series": [{ "event": "user_registered", "measure": "persons" }] }),
    );
    let users = users.await?;
    let active = json!({ "from": from, "to": to });
    let active = match app.ask(&project, "active", active).await?.body {
        AnswerBody::Active(answer) => answer.persons,
        _ => unreachable!("a question of active people is answered by them"),
    };
    let now = revenue(&app, &project, &from, &to).await?;
    let earlier = revenue(&app, &project, &before, &from).await?;
    let first_paying: u64 = now.first_paying.iter().sum();
    let conversion = active
        .filter(|active| *active > 0)
        .map(|active| first_paying as f64 * 100.0 / active as f64);
    let currencies: Vec<Value> = now
        .currencies
        .iter()
        .map(|currency| {
            let net = net_of(&now, currency.currency.as_deref());
            let was = net_of(&earlier, currency.currency.as_deref());
            let recurring = currency.recurring.last().map_or(0.0, |recurring| recurring.end);
            json!({ "currency": currency.currency, "monthlyRecurringRevenue": recurring, "revenue": net,
                "revenueGrowth": (was > 0.0).then(|| (net - was) / was) })
        })
        .collect();
    let only = match &currencies[..] {
        [] => {
            json!({ "currency": null, "monthlyRecurringRevenue": 0.0, "revenue": 0.0, "revenueGrowth": null })
        }
        [only] => only.clone(),
        _ => Value::Null,
    };
    let summary = json!({
        "totalUsers": users,
        "activeUsers": active,
        "monthlyRecurringRevenue": only["monthlyRecurringRevenue"],
        "conversionRate": conversion,
        "revenue": only["revenue"],
        "revenueGrowth": only["revenueGrowth"],
        "currency": only["currency"],
    });
    Ok(Json(
        json!({ "range": range, "from": from, "to": to, "summary": summary, "currencies": currencies }),
    ))
}

/// First day of the days before, first day, and tomorrow, by the project's calendar.
fn limits(app: &App, project: &Project, days: i64) -> Result<[String; 3], ApiError> {
    let internal = |error: jiff::Error| ApiError::Internal(error.into());
    let now = Timestamp::from_millisecond(app.clock.now_ms()).map_err(internal)?;
    let today = now.in_tz(&project.tz).map_err(internal)?.date();
    let day = |after: i64| today.saturating_add(Span::new().days(after)).to_string();
    Ok([day(1 - 2 * days), day(1 - days), day(1)])
}

async fn persons(app: &App, project: &Project, question: Value) -> Result<Option<f64>, ApiError> {
    match app.ask(project, "trend", question).await?.body {
        AnswerBody::Trend(trend) => Ok(trend.series[0].total.0),
        _ => unreachable!("a trend is answered by a trend"),
    }
}

async fn revenue(
    app: &App,
    project: &Project,
    from: &str,
    to: &str,
) -> Result<RevenueAnswer, ApiError> {
    let question = json!({ "from": from, "to": to, "bucket": "day" });
    match app.ask(project, "revenue", question).await?.body {
        AnswerBody::Revenue(answer) => Ok(answer),
        _ => unreachable!("revenue is answered by revenue"),
    }
}

/// What was taken in a currency, less what was given back, in its smallest units and then as people write it.
fn net_of(answer: &RevenueAnswer, currency: Option<&str>) -> f64 {
    let found = answer.currencies.iter().find(|other| other.currency.as_deref() == currency);
    let cents = |amount: f64| (amount * 100.0).round();
    let sum: f64 =
        found.map_or(0.0, |found| found.taken.iter().map(|taken| cents(taken.net)).sum());
    sum / 100.0
}
