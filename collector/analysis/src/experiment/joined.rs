//! A second look where many people met several variants: because identities were joined?
//!
//! In: the first table. Out, if so many met several that it is worth a warning: one more count. Somebody who
//! met one variant as a browser and another one signed in was assigned twice, and became one person later.
//! Others met them under one identity, so their assignment itself has changed.
//!
//! Table: `(20)` → people who met variants under more than one kind of identity.

use std::sync::Arc;

use super::answer::CheckStatus;
use super::checks::several;
use super::figures::Table;
use super::{EXPOSURES, Shape, read};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::{Answer, Facts};

/// Look at the exposures once more, if it is worth it; `inner` reads the answer.
pub(super) fn look(
    table: &Table<'_>,
    shape: &Arc<Shape>,
    inner: &(impl Analysis + Clone + 'static),
) -> Option<Box<dyn Analysis>> {
    let arms = read::arms(table, shape);
    let found = several(&arms, &table.excluded(), shape.keeps_first);
    let is_worth_it = matches!(found.status, CheckStatus::Warning | CheckStatus::Failed);
    if !is_worth_it || table.joined().is_some() {
        return None;
    }
    let mut columns = Columns::default();
    let experiment = columns.text("experiment");
    let variant = columns.text("variant");
    let identity = columns.text("identity");
    let events = EventSet::Only(EXPOSURES.map(Into::into).into());
    let plan = ScanPlan::with(columns, shape.from_ms, shape.to_ms, events);
    let shape = Arc::clone(shape);
    let inner = Box::new(inner.clone());
    Some(Box::new(Joined { plan, shape, columns: [experiment, variant, identity], inner }))
}

struct Joined {
    plan: ScanPlan,
    shape: Arc<Shape>,
    /// Experiment, variant, identity.
    columns: [TextColumn; 3],
    inner: Box<dyn Analysis>,
}

impl Analysis for Joined {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter { shape: Arc::clone(&self.shape), columns: self.columns, joined: 0 };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.inner.answer(partial, facts)
    }
}

struct Counter {
    shape: Arc<Shape>,
    columns: [TextColumn; 3],
    joined: u64,
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        let [experiment, variant, identity] = self.columns;
        let Some(ours) = experiment.dictionary(dictionaries).find(&self.shape.experiment) else {
            return;
        };
        let (experiments, variants, identities) =
            (experiment.of(run), variant.of(run), identity.of(run));
        let names = variant.dictionary(dictionaries);
        let known = |code: u32| {
            let name = names.text(code);
            name.is_some_and(|name| self.shape.variants.is_empty() || self.shape.knows(name))
        };
        let met = |row: &usize| {
            experiments[*row] == ours && variants[*row] != ABSENT && known(variants[*row])
        };
        let mut rows = (0..run.len()).filter(met);
        let Some(first) = rows.next() else { return };
        let is_joined = rows
            .any(|row| variants[row] != variants[first] && identities[row] != identities[first]);
        self.joined += u64::from(is_joined);
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        partial.add(vec![Key::Int(20)], &[self.joined as f64]);
        partial
    }
}
