//! What was read and looked at.

use tallymark_analysis::answer::ContentItem;

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::bars;
use super::super::words::{say, t};
use super::{Reply, Section, Words, content_of};

/// Rows on the page; the API has them all.
const ROWS: usize = 12;

/// The content table.
#[derive(Debug, Clone)]
pub struct Contents {
    /// How many different contents, views and viewers there were.
    pub summary: String,
    /// The most viewed.
    pub rows: Vec<Row>,
    /// How many are not in the table.
    pub more: Option<String>,
}

/// One content.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Article, product, …, and whose it is.
    pub kind: String,
    /// Views.
    pub views: String,
    /// People.
    pub viewers: String,
    /// Mean time it was looked at.
    pub time: String,
    /// Share of viewers who came to its end.
    pub finished: String,
    /// The bar behind.
    pub bar: Markup,
}

/// Said where no content was viewed.
pub fn none() -> Words {
    Words {
        title: t("No content views in this time").into(),
        text: t("Where people read or look at something, call watchContent(element, { id, type, owner }) of \
                 @tallymark/web/content: it tells time in sight and how far they came. \
                 contentView({ id, type, owner }) tells the view alone.")
        .into(),
    }
}

/// The content section.
pub fn content(reply: &Reply) -> Section<Contents> {
    let answer = match content_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.items.is_empty() {
        return Section::Empty(none());
    }
    let most = answer.items.iter().map(|item| item.views).max().unwrap_or(0) as f64;
    let rows = answer.items.iter().take(ROWS).map(|item| row(item, most));
    let hidden = answer.contents.saturating_sub(answer.items.len().min(ROWS) as u64);
    Section::Ready(Contents {
        summary: say(
            "{views} of {items} by {people}",
            &[
                ("views", &format::counted(answer.total.views, "view", "views")),
                ("items", &format::counted(answer.contents, "item", "items")),
                ("people", &format::counted(answer.total.viewers, "person", "people")),
            ],
        ),
        rows: rows.collect(),
        more: (hidden > 0).then(|| say("{n} more", &[("n", &format::count(hidden))])),
    })
}

fn row(item: &ContentItem, most: f64) -> Row {
    let kind: Vec<&str> =
        [item.content_type.as_deref(), item.owner.as_deref()].into_iter().flatten().collect();
    let finished = (item.viewers > 0).then(|| item.reached[3] as f64 / item.viewers as f64);
    Row {
        id: item.id.clone().unwrap_or_else(|| t("without id").into()),
        kind: kind.join(" · "),
        views: format::count(item.views),
        viewers: format::count(item.viewers),
        time: format::maybe_duration(item.engaged_ms_mean.0),
        finished: format::maybe_percent(finished),
        bar: bars::behind(item.views as f64 / most),
    }
}
