//! How far a question is, and stopping it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tallymark_analysis::answer::{Answer, Facts};
use tallymark_analysis::columns::{Block, Span};
use tallymark_analysis::events::{Dictionaries, EventSet, ScanPlan};
use tallymark_analysis::kernel::{Analysis, Kernel, Partial};
use tallymark_store::{MemoryCatalog, Progress, RowRange, ScanError, Store, StoreOptions};

use crate::support::{ShowAll, append_rows, options, row, temp_dir};

const SEGMENTS: u64 = 12;
const ROWS: u64 = 40;

/// Looks at the progress of its own question whenever it is shown a block.
struct Watching {
    plan: ScanPlan,
    progress: Arc<Progress>,
    /// After which block nobody waits any more.
    stop_after: usize,
    shares: Arc<Mutex<Vec<f64>>>,
    blocks: Arc<AtomicUsize>,
}

impl Analysis for Watching {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }
    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(Watcher {
            progress: Arc::clone(&self.progress),
            stop_after: self.stop_after,
            shares: Arc::clone(&self.shares),
            blocks: Arc::clone(&self.blocks),
        })
    }
    fn answer(&self, _: &Partial, _: &Facts) -> Answer {
        unreachable!("the store never reads answers")
    }
}

struct Watcher {
    progress: Arc<Progress>,
    stop_after: usize,
    shares: Arc<Mutex<Vec<f64>>>,
    blocks: Arc<AtomicUsize>,
}

impl Kernel for Watcher {
    fn block(&mut self, _: usize, _: &Block, _: &Dictionaries) {
        self.shares.lock().unwrap().push(self.progress.share());
        if self.blocks.fetch_add(1, Ordering::Relaxed) + 1 == self.stop_after {
            self.progress.stop();
        }
    }
    fn person(&mut self, _: u64, _: &[Span<'_>], _: &Dictionaries) {}
    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        Partial::default()
    }
}

/// A store of segments that all hold everybody, on one thread, and a question that watches itself.
fn ask(stop_after: usize) -> (Result<u64, ScanError>, Arc<Progress>, Vec<f64>, usize) {
    let dir = temp_dir();
    let options = StoreOptions { query_threads: 1, merge_fan_in: 100, ..options(dir.path()) };
    let store = Store::open(options, Arc::new(MemoryCatalog::new())).unwrap();
    for segment in 0..SEGMENTS {
        let ts_ms = 1_700_000_000_000 + segment as i64 * 604_800_000;
        let row = |n: u64| row(1, n, ts_ms, segment * ROWS + n + 1);
        append_rows(&store, (0..ROWS).map(row).collect());
        store.flush().unwrap();
    }
    let progress = Arc::new(Progress::default());
    let ShowAll(plan) = ShowAll::new(EventSet::All, i64::MIN, i64::MAX);
    let (shares, blocks) = (Arc::default(), Arc::default());
    let watching = Watching { plan, progress: Arc::clone(&progress), stop_after, shares, blocks };
    let asked = store.snapshot().ask_watched(1, &watching, &progress);
    let shares = watching.shares.lock().unwrap().clone();
    (
        asked.map(|asked| asked.rows_scanned),
        progress,
        shares,
        watching.blocks.load(Ordering::Relaxed),
    )
}

#[test]
fn the_share_that_is_read_never_goes_back_and_ends_with_all_rows() {
    let (asked, progress, shares, _) = ask(usize::MAX);
    assert_eq!(asked.unwrap(), SEGMENTS * ROWS);
    assert_eq!((progress.share(), progress.read()), (1.0, SEGMENTS * ROWS));
    assert!(shares.is_sorted(), "{shares:?}");
    assert!(
        shares.iter().any(|share| (0.1..0.9).contains(share)),
        "it is told between: {shares:?}"
    );
}

#[test]
fn a_question_that_nobody_waits_for_reads_no_further_block() {
    let (asked, progress, _, blocks) = ask(3);
    assert!(matches!(asked, Err(ScanError::Stopped)), "{asked:?}");
    assert_eq!(blocks, 3);
    assert!(progress.share() < 1.0);
}

#[test]
fn a_question_that_was_stopped_before_it_began_does_nothing() {
    let dir = temp_dir();
    let store = Store::open(options(dir.path()), Arc::new(MemoryCatalog::new())).unwrap();
    append_rows(&store, vec![row(1, 1, 1_700_000_000_000, 1)]);
    let progress = Progress::default();
    progress.stop();
    let asked = store.snapshot().ask_watched(1, &ShowAll::everything(), &progress);
    assert!(matches!(asked, Err(ScanError::Stopped)), "{asked:?}");
    assert_eq!(progress.read(), 0);
}

#[test]
fn a_walk_over_rows_says_how_far_it_is_and_stops_when_nobody_waits() {
    const ALL: u64 = 30_000;
    let dir = temp_dir();
    let store = Store::open(options(dir.path()), Arc::new(MemoryCatalog::new())).unwrap();
    // Half of them in a segment, half in memory; nothing is wanted, as with a filter that fits nobody.
    for half in 0..2 {
        let row = |n: u64| row(1, n, 1_700_000_000_000, half * ALL + n + 1);
        append_rows(&store, (0..ALL / 2).map(row).collect());
        if half == 0 {
            store.flush().unwrap();
        }
    }
    let range = RowRange::between(i64::MIN, i64::MAX);
    let progress = Progress::default();
    let (mut shares, mut seen) = (Vec::new(), 0);
    let walked = store.rows_watched(1, range, &progress, &mut |_| {
        seen += 1;
        shares.push(progress.share());
        ControlFlow::Continue(())
    });
    walked.unwrap();
    assert_eq!((seen, progress.read(), progress.share()), (ALL, ALL, 1.0));
    assert!(shares.is_sorted() && shares.iter().any(|share| (0.2..0.8).contains(share)));

    let (progress, mut seen) = (Progress::default(), 0_u64);
    let walked = store.rows_watched(1, range, &progress, &mut |_| {
        seen += 1;
        progress.stop();
        ControlFlow::Continue(())
    });
    assert!(matches!(walked, Err(ScanError::Stopped)), "{walked:?}");
    assert!(seen < ALL / 2, "{seen}");
}
