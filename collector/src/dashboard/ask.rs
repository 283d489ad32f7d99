//! Asking a page's questions: a few at a time, answers in the order of the questions.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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
    let lanes = Arc::new(Semaphore::new(app.config.query_concurrency.max(1) as usize));
    let mut asking = JoinSet::new();
    let count = questions.len();
    for (index, question) in questions.into_iter().enumerate() {
        let (app, project, lanes) = (app.clone(), Arc::clone(project), Arc::clone(&lanes));
        asking.spawn(async move {
            let _lane = lanes.acquire_owned().await;
            (index, app.ask(&project, question.kind, question.body).await)
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

/// What a reader is told. Causes inside the service are for the log.
pub fn sentence(error: &ApiError) -> String {
    if let ApiError::Internal(cause) = error {
        tracing::error!(error = format!("{cause:#}"), "a page could not be made");
    }
    told(&error.to_string())
}
