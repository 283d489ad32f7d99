//! Content views.
use serde::Serialize;

use crate::answer::Figure;

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContentAnswer {
    /// The contents by falling number of views.
    pub items: Vec<ContentItem>,
    /// Everything that was looked at, contents beyond the limit included.
    pub total: ContentItem,
    /// How many different contents were looked at.
    pub contents: u64,
    /// Views and viewers over time.
    pub buckets: Vec<ContentBucket>,
}

/// One content, or all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContentItem {
    /// `content_id`; `null` for all.
    pub id: Option<String>,
    /// `content_type`, as last seen in the order of its name.
    pub content_type: Option<String>,
    /// `owner`.
    pub owner: Option<String>,
    /// Views.
    pub views: u64,
    /// People who viewed.
    pub viewers: u64,
    /// Visible, focused time of all views that report it.
    pub engaged_ms: Figure,
    /// The same per view that reports it.
    pub engaged_ms_mean: Figure,
    /// Viewers by how far they came at best: at least 25, 50, 75 and 100 percent.
    pub reached: [u64; 4],
}

/// One bucket of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContentBucket {
    /// First day of the bucket.
    pub bucket: String,
    /// Views.
    pub views: u64,
    /// People who viewed.
    pub viewers: u64,
}
