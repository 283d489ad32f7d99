//! Where Matomo ends a visit and we go on: at midnight, on another campaign, after many actions.
//!
//! In: the events of a person in order of time, with the session each is in. Out: places of visits, of which a
//! session has one or more. That silence ends a visit after 1,800 seconds is our own rule too ([`super::cut`]).

use crate::columns::Block;
use crate::events::ABSENT;
use crate::filter::TextColumn;
use crate::time_bucket::Buckets;

/// Actions of one visit.
const ACTIONS_MAX: u32 = 10_000;

/// The rules, for one question.
pub(super) struct Rules {
    /// The days of the zone, as far as the scan goes.
    pub days: Buckets,
    /// Source and name of the campaign.
    pub campaign: [TextColumn; 2],
}

/// The visits of one person so far.
#[derive(Debug, Default)]
pub(super) struct Visits {
    count: usize,
    /// The newest of each session.
    newest: Vec<Visit>,
}

#[derive(Debug, Clone, Copy)]
struct Visit {
    place: usize,
    day: usize,
    campaign: [u32; 2],
    actions: u32,
}

impl Visits {
    /// Go to the next person.
    pub(super) fn next_person(&mut self) {
        self.count = 0;
        self.newest.clear();
    }

    /// The place of an event's visit, for an event of this session: they are numbered as they begin.
    pub(super) fn place(
        &mut self,
        rules: &Rules,
        session: usize,
        block: &Block,
        row: usize,
    ) -> usize {
        let day = rules.days.index(block.ts.get(row));
        let campaign = rules.campaign.map(|column| column.of_block(block).get(row));
        let begun = Visit { place: self.count, day, campaign, actions: 0 };
        if session == self.newest.len() {
            self.newest.push(begun);
            self.count += 1;
        }
        let visit = &mut self.newest[session];
        let is_other = campaign != [ABSENT; 2] && campaign != visit.campaign;
        if day != visit.day || is_other || visit.actions == ACTIONS_MAX {
            *visit = begun;
            self.count += 1;
        }
        visit.actions += 1;
        visit.place
    }
}
