//! Content views: what was looked at, by how many, for how long and how far.
//!
//! Reads `$content_view` events: `content_id`, `content_type`, `owner`, `engaged_ms` (visible and
//! focused time) and `completion` (how far it was seen, 0..=1). A view without an id counts in the
//! total only. Type and owner of a content are those of most of its views. `by` puts contents together: by
//! their `owner`, `tier` or `content_type`; then a line is one value of it, and `id` that value.
//!
//! Invariant: views of all contents add up to the total; viewers do not, people look at many.
//!
//! Deliberately elsewhere: measuring time and completion (the page), buckets (`time_bucket`).

use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, Figure, LATENESS_MS};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::exact_sum::{DIGITS, ExactSum};
use crate::filter::{Columns, Condition, Filter, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit};

#[cfg(test)]
mod tests;

/// Contents of one answer.
const MAX_LIMIT: usize = 1000;

/// How far a viewer came.
const REACHED: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    content_type: Option<String>,
    id: Option<String>,
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default)]
    by: By,
    #[serde(default = "day")]
    bucket: Unit,
    #[serde(default = "twenty")]
    limit: usize,
}

/// What a line of the answer is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    #[default]
    ContentId,
    ContentType,
    Owner,
    Tier,
}

impl By {
    fn prop(self) -> &'static str {
        match self {
            Self::ContentId => "content_id",
            Self::ContentType => "content_type",
            Self::Owner => "owner",
            Self::Tier => "tier",
        }
    }
}

fn day() -> Unit {
    Unit::Day
}
fn twenty() -> usize {
    20
}

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
    /// `content_type` of most of its views.
    pub content_type: Option<String>,
    /// `owner` of most of its views.
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

struct Shape {
    filter: Filter,
    buckets: Buckets,
    to_ms: i64,
    limit: usize,
    id: TextColumn,
    content_type: TextColumn,
    owner: TextColumn,
    engaged: usize,
    completion: usize,
}

struct Content {
    plan: ScanPlan,
    shape: Arc<Shape>,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Question = parse(body)?;
    if !(1..=MAX_LIMIT).contains(&question.limit) {
        return Err(QuestionError::Count {
            what: "contents of an answer (`limit`)",
            got: question.limit,
            min: 1,
            max: MAX_LIMIT,
        });
    }
    let mut columns = Columns::default();
    let mut condition = common.filter.clone();
    let fields = [
        ("content_type", &question.content_type),
        ("content_id", &question.id),
        ("owner", &question.owner),
        ("tier", &question.tier),
    ];
    for (prop, value) in fields {
        if let Some(value) = value {
            condition = condition.and(Condition::equals(prop, value));
        }
    }
    let shape = Shape {
        filter: condition.bind(&mut columns),
        buckets: Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?,
        to_ms: common.to_ms,
        limit: question.limit,
        id: columns.text(question.by.prop()),
        content_type: columns.text("content_type"),
        owner: columns.text("owner"),
        engaged: columns.number("engaged_ms"),
        completion: columns.number("completion"),
    };
    let events = EventSet::Only(vec!["$content_view".into()]);
    let analysis = Content {
        plan: ScanPlan::with(columns, common.from_ms, common.to_ms, events),
        shape: Arc::new(shape),
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

impl Analysis for Content {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            filter: self.shape.filter.clone(),
            buckets: vec![(0, 0, 0); self.shape.buckets.len()],
            shape: Arc::clone(&self.shape),
            person: 0,
            total: Tally::default(),
            contents: Vec::new(),
            traits: HashMap::new(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let labels = &self.shape.buckets.labels;
        let bucket = |(bucket, label): (usize, &String)| {
            let key = [Key::Int(2), bucket.into()];
            ContentBucket {
                bucket: label.clone(),
                views: partial.count(&key, 0),
                viewers: partial.count(&key, 1),
            }
        };
        let mut items: Vec<ContentItem> = partial
            .starting_with(&[Key::Int(1)])
            .map(|(key, row)| item(key[0].text(), row, partial))
            .collect();
        items.sort_by(|a, b| b.views.cmp(&a.views).then_with(|| a.id.cmp(&b.id)));
        let contents = items.len() as u64;
        items.truncate(self.shape.limit);
        let total = partial.rows.get(&[Key::Int(0)][..]).map_or(&[][..], Vec::as_slice);
        let body = ContentAnswer {
            items,
            total: item(None, total, partial),
            contents,
            buckets: labels.iter().enumerate().map(bucket).collect(),
        };
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Content(body),
        }
    }
}

/// A row of the table as it is read; see [`Tally::row`].
fn item(id: Option<&str>, row: &[f64], partial: &Partial) -> ContentItem {
    let cell = |column: usize| row.get(column).copied().unwrap_or(0.0);
    let sum = ExactSum::from_columns(row.get(7..7 + DIGITS).unwrap_or_default()).value();
    let timed = cell(2);
    // Most views first; among equals the first by name.
    let own = id.and_then(|id| {
        let start = [Key::Int(3), Key::Text(id.into())];
        partial
            .starting_with(&start)
            .fold(None, |best: Option<(f64, &[Key])>, (key, row)| match best {
                Some((views, _)) if views >= row[0] => best,
                _ => Some((row[0], key)),
            })
            .map(|(_, key)| (key[0].text().map(str::to_owned), key[1].text().map(str::to_owned)))
    });
    let (content_type, owner) = own.unwrap_or_default();
    ContentItem {
        id: id.map(str::to_owned),
        content_type,
        owner,
        views: cell(0) as u64,
        viewers: cell(1) as u64,
        engaged_ms: Figure((timed > 0.0).then_some(sum)),
        engaged_ms_mean: Figure::ratio(sum, timed),
        reached: [3, 4, 5, 6].map(|column| cell(column) as u64),
    }
}

/// Table: `(0)` and `(1, id)` → [`Tally::row`]; `(2, bucket)` → views, viewers; `(3, id, type,
/// owner)` → views.
struct Counter {
    filter: Filter,
    shape: Arc<Shape>,
    /// Number of the person, from 1.
    person: u64,
    total: Tally,
    /// By code of the id.
    contents: Vec<Tally>,
    traits: HashMap<(u32, u32, u32), u64>,
    /// Views, viewers, the last of them.
    buckets: Vec<(u64, u64, u64)>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    views: u64,
    viewers: u64,
    timed: u64,
    engaged: ExactSum,
    reached: [u64; 4],
    /// The last viewer, and how many marks they have reached here.
    last: u64,
    marks: usize,
}

impl Tally {
    fn add(&mut self, person: u64, engaged_ms: f64, completion: f64) {
        self.views += 1;
        if self.last != person {
            self.last = person;
            self.viewers += 1;
            self.marks = 0;
        }
        if engaged_ms >= 0.0 {
            self.timed += 1;
            self.engaged.add(engaged_ms);
        }
        while self.marks < REACHED.len() && completion >= REACHED[self.marks] {
            self.reached[self.marks] += 1;
            self.marks += 1;
        }
    }

    /// Views, viewers, views with a time, viewers by mark, the digits of the time.
    fn row(&self) -> Vec<f64> {
        let counts = [self.views, self.viewers, self.timed];
        let mut row: Vec<f64> =
            counts.into_iter().chain(self.reached).map(|count| count as f64).collect();
        row.extend(self.engaged.columns());
        row
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.filter.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        self.person += 1;
        let shape = &*self.shape;
        let (ids, types, owners) =
            (shape.id.of(run), shape.content_type.of(run), shape.owner.of(run));
        for row in 0..run.len() {
            if !self.filter.passes(run, row) {
                continue;
            }
            let bucket = shape.buckets.index(run.ts[row]);
            let (views, viewers, last) = &mut self.buckets[bucket];
            *views += 1;
            *viewers += u64::from(*last != self.person);
            *last = self.person;
            let engaged_ms = run.numbers[shape.engaged][row];
            let completion = run.numbers[shape.completion][row];
            self.total.add(self.person, engaged_ms, completion);
            if ids[row] == ABSENT {
                continue;
            }
            let id = ids[row] as usize;
            if self.contents.len() <= id {
                self.contents.resize(id + 1, Tally::default());
            }
            self.contents[id].add(self.person, engaged_ms, completion);
            *self.traits.entry((ids[row], types[row], owners[row])).or_default() += 1;
        }
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.total.views == 0 {
            return partial;
        }
        let key = |column: TextColumn, code: u32| {
            Key::from_text(column.dictionary(dictionaries).text(code))
        };
        partial.add(vec![Key::Int(0)], &self.total.row());
        for (id, tally) in self.contents.iter().enumerate().filter(|(_, tally)| tally.views > 0) {
            partial.add(vec![Key::Int(1), key(self.shape.id, id as u32)], &tally.row());
        }
        for (bucket, (views, viewers, _)) in self.buckets.iter().enumerate() {
            if *views > 0 {
                let row = [*views as f64, *viewers as f64];
                partial.add(vec![Key::Int(2), bucket.into()], &row);
            }
        }
        for ((id, content_type, owner), views) in self.traits {
            let (id, content_type, owner) = (
                key(self.shape.id, id),
                key(self.shape.content_type, content_type),
                key(self.shape.owner, owner),
            );
            partial.add(vec![Key::Int(3), id, content_type, owner], &[views as f64]);
        }
        partial
    }
}
