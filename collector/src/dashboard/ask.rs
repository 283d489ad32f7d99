//! Asking a page's questions: a few at a time, answers in the order of the questions.

use std::sync::Arc;

use tallymark_store::Progress;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::build::wait::HowFar;
use super::questions::Question;
use super::view::{Completeness, Reply};
use super::words::told;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// The replies of a page, and what they cost.
pub struct Replies {
    /// One per question, in their order.
    pub replies: Vec<Reply>,
    /// Rows looked at by all of them.
    pub rows_scanned: u64,
}

/// Ask all of them, as many at a time as the collector works on anyway: more would only fill the
/// queue that other people's questions wait in. A page that nobody waits for any more stops asking.
pub async fn ask_all(app: &App, project: &Arc<Project>, questions: Vec<Question>) -> Replies {
    let progress = Several::of(questions.len());
    ask_watched(app, project, questions, &progress).await
}

/// The same, saying how far they are.
pub async fn ask_watched(
    app: &App,
    project: &Arc<Project>,
    questions: Vec<Question>,
    progress: &Several,
) -> Replies {
    let lanes = Arc::new(Semaphore::new(app.config.query_concurrency.max(1) as usize));
    let mut asking = JoinSet::new();
    let count = questions.len();
    for (index, question) in questions.into_iter().enumerate() {
        let (app, project, lanes) = (app.clone(), Arc::clone(project), Arc::clone(&lanes));
        let progress = progress.of_one(index);
        asking.spawn(async move {
            let _lane = lanes.acquire_owned().await;
            (index, app.ask_watched(&project, question.kind, question.body, progress).await)
        });
    }
    let lost = || Err(told("the question was interrupted; reload the page to ask again"));
    let mut replies: Vec<Reply> = (0..count).map(|_| lost()).collect();
    let mut rows_scanned = 0;
    while let Some(done) = asking.join_next().await {
        let (index, answered) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a question of a page did not come to its end");
                continue;
            }
        };
        replies[index] = match answered {
            Ok(answered) => {
                rows_scanned += answered.rows_scanned;
                let completeness =
                    if answered.complete { Completeness::Complete } else { Completeness::Open };
                Ok((answered.body, completeness))
            }
            Err(error) => Err(sentence(&error)),
        };
    }
    Replies { replies, rows_scanned }
}

/// How far several questions are.
#[derive(Debug)]
pub struct Several {
    each: Vec<Arc<Progress>>,
    /// What their answers lead to, measured in questions.
    after: usize,
}

impl Several {
    /// So many.
    pub fn of(questions: usize) -> Self {
        Self { each: (0..questions).map(|_| Arc::default()).collect(), after: 0 }
    }

    /// So many, and further ones that their answers lead to: those are as much as one of them.
    pub fn and_more(questions: usize) -> Self {
        Self { after: 1, ..Self::of(questions) }
    }

    /// How far one of them is. Nobody watches what is beyond their number.
    pub fn of_one(&self, index: usize) -> Arc<Progress> {
        self.each.get(index).cloned().unwrap_or_default()
    }
}

impl HowFar for Several {
    fn share(&self) -> f64 {
        let done: f64 = self.each.iter().map(|one| one.share()).sum();
        done / (self.each.len() + self.after).max(1) as f64
    }

    fn read(&self) -> u64 {
        self.each.iter().map(|one| one.read()).sum()
    }
}

/// What a reader is told. Causes inside the service are for the log.
pub fn sentence(error: &ApiError) -> String {
    if let ApiError::Internal(cause) = error {
        tracing::error!(error = format!("{cause:#}"), "a page could not be made");
    }
    told(&error.to_string())
}
