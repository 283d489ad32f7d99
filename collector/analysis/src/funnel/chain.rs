//! How far one person came: the chains of a funnel, over one forward pass.
//!
//! In: events in order, each with the steps it matches. Out: the step reached and the chain that
//! reached it.
//!
//! For every step the pass keeps one chain: of those that reached the step, the one that started
//! last, because it stays within the window longest. An event extends chains from the last step to
//! the first, so that it never serves two steps of one chain.
//!
//! Invariant: a chain kept for a step started no later than the one kept for the step before.
//!
//! Deliberately elsewhere: which steps an event matches (`Matcher`), counting (`counter`).

/// One event in a chain. The chain is read backwards through `before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// When.
    pub at_ms: i64,
    /// When the chain's first event was.
    pub start_ms: i64,
    /// The row of the chain's first event.
    pub start_row: u32,
    /// The link before, [`NOTHING`] for the first.
    pub before: u32,
}

/// No link.
pub const NOTHING: u32 = u32::MAX;

/// The chains of one person. Made once per kernel and cleared between persons.
#[derive(Debug)]
pub struct Chains {
    window_ms: i64,
    steps: usize,
    links: Vec<Link>,
    /// By step: the chain that reached it and started last.
    at_step: Vec<u32>,
    /// The furthest chain, the first to get there.
    best: u32,
    best_step: usize,
}

impl Chains {
    /// For funnels of this many steps.
    pub fn new(steps: usize, window_ms: i64) -> Self {
        Self {
            window_ms,
            steps,
            links: Vec::new(),
            at_step: vec![NOTHING; steps],
            best: NOTHING,
            best_step: 0,
        }
    }

    /// Forget the person before.
    pub fn clear(&mut self) {
        self.links.clear();
        self.at_step.fill(NOTHING);
        self.best = NOTHING;
        self.best_step = 0;
    }

    /// Whether the last step is reached: nothing can change the person's result any more.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.best != NOTHING && self.best_step + 1 == self.steps
    }

    /// The steps that an event could bring a chain to: where one is kept for the step before that
    /// started later than the one kept for the step.
    #[inline]
    pub(super) fn open(&self) -> u64 {
        let start = |step: usize| {
            self.links.get(self.at_step[step] as usize).map_or(-1, |link| i64::from(link.start_row))
        };
        let mut open = 0;
        let mut before = start(0);
        for step in 1..self.steps {
            let here = start(step);
            open |= u64::from(before > here) << step;
            before = here;
        }
        open
    }

    /// The chain that got furthest, from its last event to its first, and how many steps it has.
    pub fn best(&self) -> Option<(usize, impl Iterator<Item = Link> + '_)> {
        let mut next = self.best;
        let chain = std::iter::from_fn(move || {
            let link = *self.links.get(next as usize)?;
            next = link.before;
            Some(link)
        });
        (self.best != NOTHING).then_some((self.best_step + 1, chain))
    }

    /// Take an event that matches the steps in `mask`, from the last step to the first.
    #[inline]
    pub fn take(&mut self, at_ms: i64, row: u32, mask: u64) {
        let mut left = mask;
        while left != 0 {
            let step = 63 - left.leading_zeros() as usize;
            left &= !(1 << step);
            if step == 0 {
                self.start(at_ms, row);
            } else {
                self.extend(step, step - 1, at_ms);
            }
        }
    }

    /// End the chains that reached one of these steps.
    #[inline]
    pub fn kill(&mut self, reached: u64) {
        let mut left = reached;
        while left != 0 {
            self.at_step[left.trailing_zeros() as usize] = NOTHING;
            left &= left - 1;
        }
    }

    /// The same for chains that made no step at this time.
    pub fn kill_idle(&mut self, reached: u64, at_ms: i64) {
        for (step, kept) in self.at_step.iter_mut().enumerate() {
            let idle = self.links.get(*kept as usize).is_some_and(|link| link.at_ms < at_ms);
            if reached >> step & 1 == 1 && idle {
                *kept = NOTHING;
            }
        }
    }

    /// A chain begins.
    #[inline]
    pub(super) fn start(&mut self, at_ms: i64, row: u32) {
        let link = Link { at_ms, start_ms: at_ms, start_row: row, before: NOTHING };
        self.put(0, link);
    }

    /// The chain kept for `from` reaches `step`, if the window allows and it is better there.
    #[inline]
    fn extend(&mut self, step: usize, from: usize, at_ms: i64) {
        let before = self.at_step[from];
        if before == NOTHING {
            return;
        }
        let chain = self.links[before as usize];
        if at_ms - chain.start_ms > self.window_ms {
            return;
        }
        let kept = self.at_step[step];
        if kept == NOTHING || self.links[kept as usize].start_row < chain.start_row {
            self.put(step, Link { at_ms, before, ..chain });
        }
    }

    #[inline]
    fn put(&mut self, step: usize, link: Link) {
        let index = self.links.len() as u32;
        self.links.push(link);
        self.at_step[step] = index;
        if self.best == NOTHING || step > self.best_step {
            self.best = index;
            self.best_step = step;
        }
    }

    /// For ties: the chain kept for a step, if it may still go on at this time.
    pub(super) fn open_chain(&self, step: usize, at_ms: i64) -> Option<u32> {
        let index = self.at_step[step];
        let link = self.links.get(index as usize)?;
        (at_ms - link.start_ms <= self.window_ms).then_some(index)
    }

    /// For ties: a chain made of `base` (or of nothing) and events of one instant, up to `step`.
    /// `base_step` is the step `base` reached.
    pub(super) fn jump(&mut self, base: Option<(usize, u32)>, step: usize, at_ms: i64, row: u32) {
        let (mut next, mut before, start_ms, start_row) = match base {
            Some((base_step, index)) => {
                let link = self.links[index as usize];
                (base_step + 1, index, link.start_ms, link.start_row)
            }
            None => (0, NOTHING, at_ms, row),
        };
        let kept = self.at_step[step];
        if kept != NOTHING && self.links[kept as usize].start_row >= start_row {
            return;
        }
        while next < step {
            self.links.push(Link { at_ms, start_ms, start_row, before });
            before = self.links.len() as u32 - 1;
            next += 1;
        }
        self.put(step, Link { at_ms, start_ms, start_row, before });
    }
}

/// ClickHouse's `windowFunnel` without options, for comparing engines: rows are in order of
/// (time, step), a row that matches several steps enters all of them in ascending order, and so
/// one row may serve two steps.
#[derive(Debug)]
pub struct ClickHouse<'a>(pub &'a mut Chains);

impl ClickHouse<'_> {
    /// Take all rows of one instant: the union of the steps they match.
    pub fn take(&mut self, at_ms: i64, row: u32, mask: u64) {
        let mut left = mask;
        while left != 0 {
            let step = left.trailing_zeros() as usize;
            left &= left - 1;
            if step == 0 {
                self.0.start(at_ms, row);
            } else {
                self.0.extend(step, step - 1, at_ms);
            }
        }
    }
}
