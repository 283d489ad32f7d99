//! Imports and exports that are going on, and how those went that ended last.
//!
//! In: what begins, how far it is, how it ended. Out: lists for people, and a word to stop it.
//!
//! Invariant: what began ends, with an outcome; work that is dropped on its way has failed.
//!
//! Deliberately elsewhere: what the work is (`import`, `export`), and what is known of it for ever (the audit trail).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tallymark_store::Progress as Scan;
use tokio::sync::watch;

use super::work::Summary;
use crate::console::{Console, Progress};

/// Ended ones that are remembered, of all projects together.
const ENDED_MAX: usize = 200;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Files come in.
    Import,
    /// Events go out.
    Export,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Rows are stored.
    Imported(Summary),
    /// So many events went out.
    Exported(u64),
    /// Somebody wanted no more of it.
    Stopped,
    /// Why it broke off.
    Failed(String),
}

/// One import or export.
#[derive(Debug)]
pub struct Work {
    /// The later it began, the larger.
    pub number: u64,
    /// The project's number.
    pub project: u32,
    /// What is done.
    pub what: What,
    /// Who began it.
    pub who: String,
    /// Its files, or its form.
    pub name: String,
    /// When it began, Unix milliseconds.
    pub since_ms: i64,
    /// How far an export is; stops either.
    scan: Scan,
    is_stopped: watch::Sender<bool>,
    /// How far an import is, in a thousandth of a thousandth, and the rows it has read.
    millionths: AtomicU64,
    rows: AtomicU64,
    notes: Mutex<Vec<String>>,
    outcome: OnceLock<Outcome>,
}

impl Work {
    /// From 0 to 1.
    pub fn share(&self) -> f64 {
        match (self.outcome.get(), self.what) {
            (Some(_), _) => 1.0,
            (None, What::Import) => self.millionths.load(Ordering::Relaxed) as f64 / 1e6,
            (None, What::Export) => self.scan.share(),
        }
    }

    /// Rows that were read.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed).max(self.scan.read())
    }

    /// Refused rows, by place and reason.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// What an export reads with.
    pub fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Nobody wants it any more: it ends soon, and an import as if it had never been.
    pub fn stop(&self) {
        self.scan.stop();
        self.is_stopped.send_replace(true);
    }

    /// Until somebody wants no more of it.
    pub async fn stopped(&self) {
        // It is there as long as we are.
        let _ = self.is_stopped.subscribe().wait_for(|is_stopped| *is_stopped).await;
    }
}

/// All of them.
#[derive(Debug)]
pub struct Works {
    list: Mutex<List>,
    changed: watch::Sender<()>,
}

impl Default for Works {
    fn default() -> Self {
        Self { list: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

#[derive(Debug, Default)]
struct List {
    begun: u64,
    running: Vec<Arc<Work>>,
    /// The one that ended last is first.
    ended: VecDeque<Arc<Work>>,
}

impl Works {
    /// Something begins.
    pub fn begin(
        self: &Arc<Self>,
        project: u32,
        what: What,
        who: &str,
        name: &str,
        since_ms: i64,
    ) -> Begun {
        let mut list = self.list();
        list.begun += 1;
        let work = Arc::new(Work {
            number: list.begun,
            project,
            what,
            who: who.to_owned(),
            name: name.to_owned(),
            since_ms,
            scan: Scan::default(),
            is_stopped: watch::Sender::new(false),
            millionths: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            notes: Mutex::default(),
            outcome: OnceLock::new(),
        });
        list.running.push(Arc::clone(&work));
        drop(list);
        self.changed.send_replace(());
        Begun { work, works: Arc::clone(self), outcome: None }
    }

    /// How many have begun until now.
    pub fn begun(&self) -> u64 {
        self.list().begun
    }

    /// What goes on in a project, in the order in which it began.
    pub fn running(&self, project: u32) -> Vec<Arc<Work>> {
        let list = self.list();
        list.running.iter().filter(|work| work.project == project).cloned().collect()
    }

    /// What ended in a project since the server began, the last first.
    pub fn ended(&self, project: u32) -> Vec<Arc<Work>> {
        let list = self.list();
        list.ended.iter().filter(|work| work.project == project).cloned().collect()
    }

    /// Tells whenever one begins or ends.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that has begun and not ended.
pub struct Begun {
    work: Arc<Work>,
    works: Arc<Works>,
    outcome: Option<Outcome>,
}

impl std::ops::Deref for Begun {
    type Target = Work;

    fn deref(&self) -> &Work {
        &self.work
    }
}

impl Begun {
    /// It ended, with this.
    pub fn end<T>(mut self, done: &anyhow::Result<T>, outcome: impl FnOnce(&T) -> Outcome) {
        self.outcome = Some(match done {
            Ok(done) => outcome(done),
            Err(_) if self.scan.is_stopped() => Outcome::Stopped,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let outcome = self.outcome.take();
        let outcome = outcome.unwrap_or_else(|| Outcome::Failed("it broke off".to_owned()));
        // Under the lock: whoever sees that it has ended finds it among those that have.
        let mut list = self.works.list();
        self.work.outcome.get_or_init(|| outcome);
        list.running.retain(|work| work.number != self.work.number);
        list.ended.push_front(Arc::clone(&self.work));
        list.ended.truncate(ENDED_MAX);
        drop(list);
        self.works.changed.send_replace(());
    }
}

/// A console that others look at as well, and may close.
pub struct Seen<'c, 'w> {
    /// Where it is printed; nowhere where nobody is.
    pub console: Option<&'c mut dyn Console>,
    /// Where it is seen.
    pub work: &'w Work,
}

impl Console for Seen<'_, '_> {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.console.as_mut().map_or(Ok(()), |console| console.out(bytes))
    }

    fn note(&mut self, line: &str) -> io::Result<()> {
        self.work.notes.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        self.console.as_mut().map_or(Ok(()), |console| console.note(line))
    }

    fn progress(&mut self, progress: Progress) -> io::Result<()> {
        if self.work.scan.is_stopped() {
            return Err(io::Error::other("it was stopped; nothing is stored"));
        }
        let share = progress.done as f64 / progress.total.max(1) as f64;
        self.work.millionths.store((share.min(1.0) * 1e6) as u64, Ordering::Relaxed);
        self.work.rows.store(progress.rows, Ordering::Relaxed);
        self.console.as_mut().map_or(Ok(()), |console| console.progress(progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(works: &Arc<Works>, what: What) -> Begun {
        works.begin(1, what, "ann@a.example", "events.csv", 0)
    }

    #[test]
    fn what_begins_is_listed_until_it_ends_and_then_with_its_outcome() {
        let works = Arc::<Works>::default();
        let (one, other) = (begin(&works, What::Export), works.begin(2, What::Import, "", "", 0));
        assert_eq!((works.running(1).len(), works.running(2).len(), works.begun()), (1, 1, 2));
        one.end(&Ok(7), |events| Outcome::Exported(*events));
        assert_eq!((works.running(1).len(), works.ended(1).len()), (0, 1));
        assert_eq!(works.ended(1)[0].outcome(), Some(&Outcome::Exported(7)));
        assert_eq!(works.ended(1)[0].share(), 1.0);
        drop(other);
        assert!(matches!(works.ended(2)[0].outcome(), Some(Outcome::Failed(_))), "nobody said");
    }

    #[test]
    fn what_is_stopped_hears_of_it_and_is_told_apart_from_what_failed() {
        let works = Arc::<Works>::default();
        let work = begin(&works, What::Import);
        let half = Progress { done: 1, total: 2, rows: 10 };
        Seen { console: None, work: &work }.progress(half).unwrap();
        assert_eq!((work.share(), work.rows()), (0.5, 10));
        works.running(1)[0].stop();
        let told = Seen { console: None, work: &work }.progress(half);
        work.end(&told.map_err(anyhow::Error::from), |()| Outcome::Exported(0));
        let failed = begin(&works, What::Import);
        failed.end(&Err::<(), _>(anyhow::anyhow!("no disk")), |()| Outcome::Exported(0));
        let outcomes: Vec<_> = works.ended(1).iter().map(|work| work.outcome().cloned()).collect();
        let want = [Outcome::Failed("no disk".to_owned()), Outcome::Stopped];
        assert_eq!(outcomes, want.map(Some));
    }

    #[test]
    fn only_the_last_are_remembered() {
        let works = Arc::<Works>::default();
        (0..ENDED_MAX + 3).for_each(|_| drop(begin(&works, What::Export)));
        let ended = works.ended(1);
        assert_eq!((ended.len(), ended[0].number), (ENDED_MAX, ENDED_MAX as u64 + 3));
    }
}
