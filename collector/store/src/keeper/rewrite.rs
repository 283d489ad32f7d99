//! What flushes and merges do to rows on their way, beyond putting them in order.
//!
//! In: the rules that hold when a flush or merge begins. Out: for each batch of rows, which are kept,
//! and which get another person.
//!
//! - **Erased** persons: their rows are dropped.
//! - **Moved** persons: their rows get the person they belong to now, and with it another place.
//!   They are taken out of their segments before the merge, sorted, and merged back in.
//! - **Retention**: rows older than their project and event allow are dropped.
//!
//! Invariant: no rule, no cost.

use std::sync::Arc;

use crate::columns::Columns;

/// The rules in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rewrite {
    /// Project and person, sorted.
    pub erased: Arc<[(u32, u64)]>,
    /// Project, person and new person, sorted.
    pub moved: Arc<[(u32, u64, u64)]>,
}

impl Rewrite {
    /// The new person of one.
    pub(crate) fn moved(&self, project: u32, person: u64) -> Option<u64> {
        let at = self.moved.binary_search_by_key(&(project, person), |&(p, from, _)| (p, from));
        at.ok().map(|at| self.moved[at].2)
    }

    fn is_erased(&self, project: u32, person: u64) -> bool {
        self.erased.binary_search(&(project, person)).is_ok()
    }

    /// The rows that stay where they are, in order; `None` when all do.
    pub(crate) fn kept(&self, columns: &Columns) -> Option<Vec<u32>> {
        if self.erased.is_empty() && self.moved.is_empty() {
            return None;
        }
        let mut kept = Vec::with_capacity(columns.len());
        let mut last = None;
        let mut stays = true;
        for row in 0..columns.len() {
            let who = (columns.project[row], columns.person[row]);
            if last.replace(who) != Some(who) {
                stays = !self.is_erased(who.0, who.1) && self.moved(who.0, who.1).is_none();
            }
            if stays {
                kept.push(row as u32);
            }
        }
        (kept.len() < columns.len()).then_some(kept)
    }

    /// The rows that get another person, in order, with that person. Those of erased persons are
    /// dropped, under their old name or their new one.
    pub(crate) fn leaving(&self, columns: &Columns) -> Vec<(u32, u64)> {
        let mut leaving = Vec::new();
        if self.moved.is_empty() {
            return leaving;
        }
        let mut last = None;
        let mut goes_to = None;
        for row in 0..columns.len() {
            let who = (columns.project[row], columns.person[row]);
            if last.replace(who) != Some(who) {
                goes_to = self.moved(who.0, who.1).filter(|&person| {
                    !self.is_erased(who.0, person) && !self.is_erased(who.0, who.1)
                });
            }
            leaving.extend(goes_to.map(|person| (row as u32, person)));
        }
        leaving
    }
}
