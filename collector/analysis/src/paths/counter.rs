//! Counting transitions, person by person.
//!
//! In: runs with sessions. Out: a table with, per depth, `(pass, depth)` → transitions, persons, 1
//! where something was left out, the most that any of it happened; `(pass, depth, from, to)` →
//! transitions, persons, 1 where something was left out but of this nothing. `(UNNAMED)` says that
//! a session had no name.

use std::sync::Arc;

use super::pairs::Pairs;
use super::{DEPTH_MAX, End, Pass, Repeats, Shape};
use crate::events::{ABSENT, Dictionaries, NO_SESSION, Run, UNNAMED_SESSION};
use crate::filter::{Filter, Matcher};
use crate::kernel::{Key, Partial, RunKernel};
use crate::sessions::cut::Cutter;

/// Key of the row that says that a session had no name.
pub(super) const UNNAMED: i64 = 0;

/// Pairs that one kernel reports: where the most frequent ones stand out, and where they do not.
const REPORTED: usize = 4096;
const REPORTED_ALL: usize = 200_000;

/// Codes with a place in the table of pairs: of the one depth, of each of several.
const TABLE: usize = 2048;
const TABLE_OF_DEPTH: usize = 256;

/// Pattern 0 is a step, pattern 1 the anchor.
const STEP: u64 = 1;
const ANCHOR: u64 = 2;

/// Counts over one thread's persons. A step is known by the code of its text; code 0 is the anchor
/// where it is no step.
pub(super) struct Counter {
    shape: Arc<Shape>,
    patterns: Matcher,
    filter: Filter,
    pass: Pass,
    /// Whether all events are seen, so that silences are.
    is_whole: bool,
    met_unnamed: bool,
    cutter: Cutter,
    /// Per session of the person.
    walks: Vec<Walk>,
    /// The same, for paths that end at an anchor: the newest steps, and how they were when the anchor
    /// came last.
    trails: Vec<[Trail; 2]>,
    /// Per depth.
    pairs: Vec<Pairs>,
}

/// Where a session is on its path.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    last: Option<u32>,
    /// Transitions so far, counted from the anchor.
    depth: u32,
}

/// The newest steps of a session, the last one at `(len - 1) % STEPS`.
#[derive(Debug, Clone, Copy, Default)]
struct Trail {
    steps: [u32; STEPS],
    len: usize,
}

const STEPS: usize = DEPTH_MAX + 1;

impl Trail {
    fn push(&mut self, step: u32) {
        self.steps[self.len % STEPS] = step;
        self.len += 1;
    }

    /// The step so many before the last.
    fn before(&self, back: usize) -> Option<u32> {
        let at = self.len.checked_sub(back + 1)?;
        (back < STEPS).then(|| self.steps[at % STEPS])
    }
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, pass: Pass, is_whole: bool) -> Self {
        let table = if shape.depth == 1 { TABLE } else { TABLE_OF_DEPTH };
        Self {
            patterns: shape.patterns.clone(),
            filter: shape.filter.clone(),
            pass,
            is_whole,
            met_unnamed: false,
            cutter: Cutter::default(),
            walks: Vec::new(),
            trails: Vec::new(),
            pairs: vec![Pairs::new(table); shape.depth],
            shape: Arc::clone(shape),
        }
    }

    /// The transitions of a question that counts from no anchor.
    pub(super) fn pairs(&mut self) -> &mut Pairs {
        &mut self.pairs[0]
    }

    /// A step of a session, at its place.
    #[inline]
    fn step(&mut self, place: usize, step: Option<u32>, is_anchor: bool) {
        let walk = &mut self.walks[place];
        // An anchor that is no step is called by its name: code 0.
        let here = step.unwrap_or(ABSENT);
        let skips = self.shape.repeats == Repeats::Skip && step.is_some() && walk.last == step;
        match self.shape.end {
            End::None if skips => {}
            End::None => {
                if let Some(last) = walk.last {
                    self.pairs[0].push(last, here);
                }
                walk.last = step;
            }
            End::From => match walk.last {
                None if is_anchor => walk.last = Some(here),
                Some(last) if step.is_some() && !skips => {
                    if let Some(pairs) = self.pairs.get_mut(walk.depth as usize) {
                        pairs.push(last, here);
                        walk.depth += 1;
                        walk.last = step;
                    }
                }
                _ => {}
            },
            End::To => {
                let [trail, ended] = &mut self.trails[place];
                if let Some(step) = step.filter(|_| !skips) {
                    trail.push(step);
                    walk.last = Some(step);
                }
                if is_anchor {
                    *ended = *trail;
                    if step.is_none() {
                        ended.push(ABSENT);
                    }
                }
            }
        }
    }

    /// Count the paths that end at an anchor.
    fn count_ended(&mut self) {
        for [_, ended] in &self.trails {
            for (back, pairs) in self.pairs.iter_mut().enumerate() {
                let (Some(to), Some(from)) = (ended.before(back), ended.before(back + 1)) else {
                    break;
                };
                pairs.push(from, to);
            }
        }
    }
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.patterns.learn(dictionaries);
        self.filter.learn(dictionaries);
        self.cutter.next_person();
        self.walks.clear();
        self.trails.clear();
        let shape = Arc::clone(&self.shape);
        for (row, &label) in shape.label.of(run).iter().enumerate() {
            let session = run.sessions[row];
            let mask = self.patterns.mask(run, row);
            let counts = mask != 0 && self.filter.passes(run, row);
            let step = Some(label).filter(|_| mask & STEP != 0 && label != ABSENT);
            let is_anchor = mask & ANCHOR != 0;
            let counts = counts && (step.is_some() || is_anchor);
            if session == UNNAMED_SESSION {
                self.met_unnamed = true;
            } else if session == NO_SESSION || !counts {
                continue;
            }
            // What does not count still breaks the silence.
            let Some(place) = self.cutter.place(run.ts[row], run.actor[row], session) else {
                continue;
            };
            if self.walks.len() < self.cutter.len() {
                self.walks.push(Walk::default());
                self.trails.extend((shape.end == End::To).then(<[Trail; 2]>::default));
            }
            if counts {
                self.step(place, step, is_anchor);
            }
        }
        if shape.end == End::To {
            self.count_ended();
        }
        self.pairs.iter_mut().for_each(Pairs::end_person);
    }

    fn bytes(&self) -> usize {
        self.pairs.iter().map(Pairs::bytes).sum()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.met_unnamed && !self.is_whole {
            partial.add(vec![Key::Int(UNNAMED)], &[1.0]);
        }
        let texts = self.shape.label.dictionary(dictionaries);
        let text = |code: u32| match texts.text(code) {
            None => Key::Text(self.shape.anchor_name.as_str().into()),
            Some(text) => Key::Text(text.into()),
        };
        for (depth, pairs) in (1..).zip(&self.pairs) {
            if pairs.all.count == 0 {
                continue;
            }
            let most = if self.pass == Pass::First { REPORTED } else { REPORTED_ALL };
            let (top, left_out) = pairs.top(most);
            let is_cut = f64::from(u8::from(left_out > 0));
            let all = &pairs.all;
            let total = [all.count as f64, all.persons as f64, is_cut, left_out as f64];
            partial.add(vec![self.pass.key(), Key::from(depth)], &total);
            for pair in top {
                let exact = if pair.missed == 0 { is_cut } else { 0.0 };
                let row = [pair.edge.count as f64, pair.edge.persons as f64, exact];
                let key = vec![self.pass.key(), depth.into(), text(pair.from), text(pair.to)];
                partial.add(key, &row);
            }
        }
        partial
    }
}
