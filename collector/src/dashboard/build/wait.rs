//! Waiting for an answer: a page that is there before it, and says how far it is.
//!
//! In: an answer at work and its progress. Out: a page. An answer that comes soon stands in it as if nobody had waited;
//! otherwise the page is sent without it, then one line of progress after the other, then the answer, and then the rest
//! of the page. The style sheet shows the last of them, and the answer when it is whole, so this needs no script.
//!
//! Invariant: whoever goes away, by the link in the line, another page or a closed window, closes the connection;
//! with it goes the stream, with the stream the answer at work, and that ends the scan.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use tallymark_store::Progress;
use tokio::time::timeout;

use super::question::Fields;
use crate::dashboard::format;
use crate::dashboard::page::{send, show};
use crate::dashboard::words::{Lang, filters, say, t};

/// A page is not kept back for longer: it can be read and changed before its answer is there.
pub const PAGE_AFTER: Duration = Duration::from_millis(10);
/// Whoever waits longer than this is told how far it is.
const SAID_AFTER: Duration = Duration::from_millis(500);
/// Between two lines of progress.
const SAID_EVERY: Duration = Duration::from_millis(250);

/// Stands where the answer comes; no text that anybody typed is printed with a bare `<`.
const HERE: &str = "<!--answer-->";
/// Stands before an answer that comes later. Browsers draw nothing of a page before they have this, or all of it: half
/// of a head has its parts elsewhere.
const BEGUN: &str = r#"<i id="begun" hidden></i>"#;
/// Stands behind such an answer, which is not drawn before: half of a table has other columns.
const WHOLE: &str = r#"<i id="whole" hidden></i>"#;

/// How far it is.
#[derive(Template)]
#[template(path = "progress.html")]
struct Said<'a> {
    percent: u64,
    words: String,
    cancel: &'a str,
}

/// What is done of an answer.
pub trait HowFar: Send + Sync {
    /// From 0 to 1. It never goes back.
    fn share(&self) -> f64;
    /// Rows that were read.
    fn read(&self) -> u64;
}

impl HowFar for Progress {
    fn share(&self) -> f64 {
        Progress::share(self)
    }

    fn read(&self) -> u64 {
        Progress::read(self)
    }
}

/// An answer at work.
pub struct Wait<F> {
    /// Its HTML, some day.
    pub asking: F,
    pub progress: Arc<dyn HowFar>,
    /// Where a link leads that ends the waiting; empty where the work goes on without the page.
    pub cancel: String,
}

impl<F: Future<Output = String> + Send + 'static> Wait<F> {
    /// A page around the answer. `page` makes it of the answer's HTML.
    pub async fn within<P: Template>(self, page: impl FnOnce(String) -> P) -> Response {
        self.within_as(StatusCode::OK, page).await
    }

    /// The same for a page that says what became of a form.
    pub async fn within_as<P: Template>(
        self,
        status: StatusCode,
        page: impl FnOnce(String) -> P,
    ) -> Response {
        let mut asking = Box::pin(self.asking);
        if let Ok(answer) = timeout(PAGE_AFTER, &mut asking).await {
            return show(status, &page(answer));
        }
        let page = match page(HERE.to_owned()).render() {
            Ok(page) => page,
            Err(error) => return crate::dashboard::page::broken(&error),
        };
        let (before, after) = page.split_once(HERE).unwrap_or((&page, ""));
        let working = Working { asking, progress: self.progress, cancel: self.cancel };
        let (before, after) = (format!("{before}{BEGUN}"), format!("{WHOLE}{after}"));
        let mut response = working.sent(before, after, SAID_AFTER - PAGE_AFTER);
        *response.status_mut() = status;
        response
    }

    /// The answer alone, for a page that is there.
    pub async fn alone(self) -> Response {
        let mut asking = Box::pin(self.asking);
        if let Ok(answer) = timeout(SAID_AFTER, &mut asking).await {
            return send(StatusCode::OK, answer);
        }
        let working = Working { asking, progress: self.progress, cancel: self.cancel };
        working.sent(String::new(), String::new(), Duration::ZERO)
    }
}

/// Stands where an answer was that nobody waits for any more.
#[derive(Template)]
#[template(
    source = r#"<div class="card empty"><strong>{{ title }}</strong><p>{{ text }}</p><p><a class="plain button" href="{{ again }}">{{ "Show"|t }}</a></p></div>"#,
    ext = "html"
)]
struct Cancelled<'a> {
    title: &'a str,
    text: &'a str,
    again: &'a str,
}

/// An answer at work for a page at this path, empty for that of the request, with these fields. Its link leads to the
/// same page with `part=form`, for which nothing is asked.
pub fn waiting<F: Future<Output = String> + Send + 'static>(
    (path, fields): (&str, &Fields),
    progress: Arc<dyn HowFar>,
    asking: F,
) -> Wait<impl Future<Output = String> + Send + 'static> {
    let address = |part: &str| format!("{path}{}", fields.with(&[("part", part)]));
    let instead = (fields.get("part") == Some("form")).then(|| {
        let title = t("The question was cancelled");
        let text = t("Change the question or show it again.");
        Cancelled { title, text, again: &address("") }.to_string()
    });
    let asking = async move {
        match instead {
            Some(instead) => instead,
            None => asking.await,
        }
    };
    Wait { asking, progress, cancel: address("form") }
}

struct Working {
    asking: Pin<Box<dyn Future<Output = String> + Send>>,
    progress: Arc<dyn HowFar>,
    cancel: String,
}

impl Working {
    fn sent(self, before: String, after: String, quiet: Duration) -> Response {
        let lang = Lang::current();
        let state = (Some(self), quiet, u64::MAX);
        let lines = stream::unfold(state, move |(working, wait, said)| {
            let step = async move {
                let (line, next, said) = working?.line(wait, said).await;
                Some((line, (next, SAID_EVERY, said)))
            };
            lang.within(step)
        });
        let all = stream::iter([before]).chain(lines).chain(stream::iter([after]));
        let all = all.filter(|text| std::future::ready(!text.is_empty()));
        let all = all.map(|text| Ok::<_, Infallible>(Bytes::from(text)));
        send(StatusCode::OK, Body::from_stream(all))
    }

    /// The next line: how far it is, when that is another percentage than the one that was said last, or the answer, and
    /// then nothing is left.
    async fn line(mut self, mut wait: Duration, said: u64) -> (String, Option<Self>, u64) {
        loop {
            let done = timeout(wait, &mut self.asking).await;
            let percent = (self.progress.share() * 100.0) as u64;
            let line = || {
                let values = [
                    ("share", &*format::percent(percent as f64 / 100.0)),
                    ("rows", &format::counted(self.progress.read(), "row", "rows")),
                ];
                let words = say("{share} done, {rows} read", &values);
                let said = Said { percent, words, cancel: &self.cancel };
                said.render().unwrap_or_default()
            };
            match done {
                Ok(answer) if percent == 100 && said != u64::MAX => {
                    return (line() + &answer, None, percent);
                }
                Ok(answer) => return (answer, None, percent),
                Err(_) if percent != said => return (line(), Some(self), percent),
                Err(_) => wait = SAID_EVERY,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Says when it is dropped.
    struct Gone(Arc<AtomicBool>);

    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[derive(Template)]
    #[template(source = "<main>{{ answer|safe }}</main>", ext = "html")]
    struct Page {
        answer: String,
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn wait(after: Duration) -> Wait<impl Future<Output = String> + Send + 'static> {
        let progress = Arc::new(Progress::default());
        let at_end = Arc::clone(&progress);
        let asking = async move {
            tokio::time::sleep(after).await;
            at_end.end();
            "<b>42</b>".to_owned()
        };
        Wait { asking, progress, cancel: "?part=form&x=\"".to_owned() }
    }

    #[tokio::test]
    async fn an_answer_that_comes_soon_stands_in_its_page_as_if_nobody_had_waited() {
        let page = wait(Duration::ZERO).within(|answer| Page { answer }).await;
        assert!(page.headers().contains_key("content-security-policy"));
        assert_eq!(text(page).await, "<main><b>42</b></main>");
        assert_eq!(text(wait(Duration::ZERO).alone().await).await, "<b>42</b>");
    }

    #[tokio::test]
    async fn a_page_is_there_before_its_answer_and_says_how_far_that_is() {
        let page = wait(Duration::from_millis(900)).within(|answer| Page { answer }).await;
        assert!(page.headers().contains_key("content-security-policy"));
        let mut body = page.into_body().into_data_stream();
        let first = body.next().await.unwrap().unwrap();
        assert_eq!(&*first, b"<main><i id=\"begun\" hidden></i>", "before the answer");
        let second = body.next().await.unwrap().unwrap();
        let second = String::from_utf8(second.to_vec()).unwrap();
        assert!(second.contains("value=\"0\""), "{second}");
        assert!(second.contains("href=\"?part=form&#38;x=&#34;\""), "{second}");
        let mut rest = String::new();
        while let Some(piece) = body.next().await {
            rest.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        assert_eq!(rest.matches("<progress").count(), 1, "the same is said once: {rest}");
        assert!(rest.contains("value=\"100\""), "{rest}");
        assert!(rest.ends_with("<b>42</b><i id=\"whole\" hidden></i></main>"), "{rest}");
    }

    #[tokio::test]
    async fn a_page_that_was_called_off_asks_nothing_and_leads_back() {
        let fields = Fields::read("slice=os&part=form");
        let is_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_asked);
        let asking = async move {
            asked.store(true, Ordering::Relaxed);
            String::new()
        };
        let progress = Arc::<Progress>::default();
        let wait = waiting(("/p/shop/experiments/x", &fields), progress, asking);
        assert_eq!(wait.cancel, "/p/shop/experiments/x?slice=os&part=form");
        let page = wait.within_as(StatusCode::CONFLICT, |answer| Page { answer }).await;
        assert_eq!(page.status(), StatusCode::CONFLICT);
        let page = text(page).await;
        assert!(page.contains("href=\"/p/shop/experiments/x?slice=os\""), "{page}");
        assert!(!is_asked.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn whoever_goes_away_ends_the_work() {
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = Gone(Arc::clone(&is_gone));
        let asking = async move {
            let _gone = gone;
            std::future::pending().await
        };
        let wait = Wait { asking, progress: Arc::<Progress>::default(), cancel: String::new() };
        let mut body = wait.alone().await.into_body().into_data_stream();
        body.next().await.unwrap().unwrap();
        assert!(!is_gone.load(Ordering::Relaxed), "somebody waits");
        drop(body);
        assert!(is_gone.load(Ordering::Relaxed), "nobody waits");
    }
}
