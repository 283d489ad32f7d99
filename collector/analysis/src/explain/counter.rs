//! The kernel and the table of explanations.
//!
//! Table: `(0)` → people counted by either rule, people they differ over; `(1, difference)` → people for whom it
//! matters; `(2, person)` → their differences, as bits; `(3, person, side, place, what, what)` → when. Each
//! kernel gives the people of one page and one more.

use std::collections::BTreeMap;

use super::Asked;
use super::answer::{ExplainAnswer, ExplainReason, Explained, Outcome};
use crate::answer::{Answer, AnswerBody, Facts};
use crate::events::{Dictionaries, Run, ScanPlan};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::persons::{name, parse_name};

/// One thing that a rule sees in a person: what, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Step and nothing, or cohort and period.
    pub what: [usize; 2],
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// What comes of a person under rules that are sets of differences, as bits.
pub(crate) trait Counted: Send {
    /// Nothing when the rule does not count the person.
    fn outcome(&mut self, run: &Run<'_>, dictionaries: &Dictionaries, rule: u8) -> Vec<Mark>;
}

/// Two rules, and what can set rules apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The differences of each, as bits.
    pub of: [u8; 2],
    /// By bit: its code, and what a rule does that has it.
    pub said: &'static [(&'static str, &'static str)],
}

impl Rules {
    /// The bits that one rule has and the other has not.
    fn apart(&self) -> impl Iterator<Item = u8> {
        let [first, second] = self.of;
        (0..u8::BITS).map(|bit| 1u8 << bit).filter(move |bit| (first ^ second) & bit != 0)
    }
}

/// The analysis of any question that has rules.
pub(crate) struct Explain<C, R> {
    pub plan: ScanPlan,
    pub asked: Asked,
    pub rules: Rules,
    /// Makes what counts, for one thread.
    pub counted: C,
    /// Makes of marks what the answer shows.
    pub read: R,
    /// From when on nothing changes any more, Unix milliseconds.
    pub complete_after_ms: i64,
}

impl<C, R, K> Analysis for Explain<C, R>
where
    C: Fn() -> K + Send + Sync,
    R: Fn(&[Mark]) -> Outcome + Send + Sync,
    K: Counted + 'static,
{
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            counted: (self.counted)(),
            rules: self.rules,
            limit: self.asked.limit,
            after: self.asked.after,
            persons: 0,
            differing: 0,
            reasons: BTreeMap::new(),
            people: BTreeMap::new(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let Asked { rules: names, limit, .. } = &self.asked;
        let totals = [Key::Int(0)];
        let mut reasons: Vec<ExplainReason> = self
            .rules
            .apart()
            .map(|bit| {
                let (code, text) = self.rules.said[bit.trailing_zeros() as usize];
                let rule = names[usize::from(self.rules.of[1] & bit != 0)].clone();
                let persons = partial.count(&[Key::Int(1), Key::Int(bit.into())], 0);
                ExplainReason { code, rule, text, persons }
            })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.persons));
        let start = [Key::Int(2)];
        let mut people: Vec<Explained> = partial
            .starting_with(&start)
            .take(limit + 1)
            .map(|(person, bits)| {
                let why = self.rules.apart().filter(|bit| bits[0] as u8 & bit != 0);
                let outcomes = [0usize, 1].map(|side| {
                    let start = [Key::Int(3), person[0].clone(), side.into()];
                    let number = |key: &Key| key.int().unwrap_or(0) as usize;
                    let marks = partial.starting_with(&start).map(|(rest, at)| Mark {
                        what: [number(&rest[1]), number(&rest[2])],
                        at_ms: at[0] as i64,
                    });
                    (self.read)(&marks.collect::<Vec<_>>())
                });
                Explained {
                    person: person[0].text().unwrap_or_default().to_owned(),
                    why: why.map(|bit| self.rules.said[bit.trailing_zeros() as usize].0).collect(),
                    outcomes,
                }
            })
            .collect();
        let has_more = people.len() > *limit;
        people.truncate(*limit);
        let next = people.last().filter(|_| has_more).map(|last| last.person.clone());
        debug_assert!(next.as_deref().is_none_or(|next| parse_name(next).is_some()));
        Answer {
            complete: facts.now_ms >= self.complete_after_ms,
            body: AnswerBody::Explain(ExplainAnswer {
                rules: names.clone(),
                persons: partial.count(&totals, 0),
                differing: partial.count(&totals, 1),
                reasons,
                people,
                next,
            }),
        }
    }
}

struct Counter<C> {
    counted: C,
    rules: Rules,
    limit: usize,
    after: Option<u64>,
    persons: u64,
    differing: u64,
    /// By bit of the difference.
    reasons: BTreeMap<u8, u64>,
    /// The first people that are listed: their reasons, and what each rule makes of them.
    people: BTreeMap<u64, (u8, [Vec<Mark>; 2])>,
}

impl<C: Counted> RunKernel for Counter<C> {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        let of = self.rules.of;
        let outcomes = of.map(|rule| self.counted.outcome(run, dictionaries, rule));
        self.persons += u64::from(outcomes.iter().any(|outcome| !outcome.is_empty()));
        if outcomes[0] == outcomes[1] {
            return;
        }
        self.differing += 1;
        let (mut why, mut all) = (0, 0);
        for bit in self.rules.apart() {
            all |= bit;
            let matters = of.iter().zip(&outcomes).any(|(rule, outcome)| {
                self.counted.outcome(run, dictionaries, rule ^ bit) != *outcome
            });
            why |= if matters { bit } else { 0 };
        }
        let why = if why == 0 { all } else { why };
        for bit in self.rules.apart().filter(|bit| why & bit != 0) {
            *self.reasons.entry(bit).or_default() += 1;
        }
        if self.after.is_none_or(|after| run.person > after) {
            self.people.insert(run.person, (why, outcomes));
            if self.people.len() > self.limit + 1 {
                self.people.pop_last();
            }
        }
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.persons > 0 {
            partial.add(vec![Key::Int(0)], &[self.persons as f64, self.differing as f64]);
        }
        for (bit, persons) in self.reasons {
            partial.add(vec![Key::Int(1), Key::Int(bit.into())], &[persons as f64]);
        }
        for (person, (why, outcomes)) in self.people {
            let person = Key::Text(name(person).into());
            partial.add(vec![Key::Int(2), person.clone()], &[f64::from(why)]);
            for (side, marks) in outcomes.into_iter().enumerate() {
                for (place, Mark { what, at_ms }) in marks.into_iter().enumerate() {
                    let what = what.map(Key::from);
                    let key = [Key::Int(3), person.clone(), side.into(), place.into()];
                    partial.add(key.into_iter().chain(what).collect(), &[at_ms as f64]);
                }
            }
        }
        partial
    }
}
