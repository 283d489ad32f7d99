//! Routes under the names that other systems have for them. Thin: each is a route of ours, asked in its words.
//!
//! Here: in `analytics` what `/api/analytics/…` and `/api/tenants` are, in `business` the figures of
//! `/api/admin/metrics`, in `growth_page` the growth report as a page.
//!
//! Deliberately elsewhere: the metrics of the service (`service`), what the figures mean (`usage`, `query`,
//! `growth`, the analysis).

pub mod analytics;
pub mod business;
pub mod growth_page;
