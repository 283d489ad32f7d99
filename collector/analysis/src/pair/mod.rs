//! A breakdown by two properties: a column of pairs of values, so that no kernel knows of two.
//!
//! In: an analysis whose plan has a column that is named after two properties ([`column`]). Out: the same analysis
//! over the columns that a store has ([`Paired`]), and pairs read back from the texts that stand for them
//! ([`parse`]).
//!
//! A pair is absent when both values are; one of them may be.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::answer::{Answer, Facts};
use crate::columns::{Block, Coded, Codes, Span};
use crate::each_width;
use crate::events::{ABSENT, Dictionaries, ScanPlan};
use crate::filter::{Columns, Masks, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Partial};
use crate::presence::Presence;
use crate::wanted::Wanted;

#[cfg(test)]
mod tests;

/// What names of such columns and texts of pairs begin with: no property has it.
const MARK: char = '\0';
/// So many pairs of a block's own codes are codes as they are.
const PLAIN_MAX: usize = 1 << 16;
/// And of so many those that occur are numbered in a table.
const TABLE_MAX: usize = 1 << 20;
/// Spans of one person that need no list on the heap: the weeks of a month.
const INLINE: usize = 6;

/// The name of the column of pairs of two properties.
pub(crate) fn column(first: &str, second: &str) -> String {
    format!("{MARK}{first}{MARK}{second}")
}

/// The two values that a text stands for, if it stands for a pair.
pub(crate) fn parse(text: &str) -> Option<[Option<String>; 2]> {
    serde_json::from_str(text.strip_prefix(MARK)?).ok()
}

fn text(values: [Option<&str>; 2]) -> String {
    format!("{MARK}{}", serde_json::json!(values))
}

/// Where a text column of the inner plan comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A column of the store.
    Own(usize),
    Pair([TextColumn; 2]),
}

/// An analysis with a column of pairs.
pub(crate) struct Paired<'a> {
    inner: &'a dyn Analysis,
    /// What the store is asked for.
    plan: ScanPlan,
    /// By text column of the inner plan.
    sources: Arc<Vec<Source>>,
}

impl<'a> Paired<'a> {
    /// None where there is no such column.
    pub(crate) fn of(inner: &'a dyn Analysis) -> Option<Self> {
        let wanted = &inner.scan().texts;
        let pair = |name: &str| -> Option<[String; 2]> {
            let (first, second) = name.strip_prefix(MARK)?.split_once(MARK)?;
            Some([first.to_owned(), second.to_owned()])
        };
        if !wanted.iter().any(|name| pair(name).is_some()) {
            return None;
        }
        let mut columns = Columns::default();
        let mut source = |name: &String| match pair(name) {
            Some(both) => Source::Pair(both.map(|name| columns.text(&name))),
            None => match columns.text(name) {
                TextColumn::Prop(at) => Source::Own(at),
                TextColumn::Event => unreachable!("a plan asks for no text of the event's name"),
            },
        };
        let sources = Arc::new(wanted.iter().map(&mut source).collect());
        let plan = ScanPlan { texts: columns.texts, ..inner.scan().clone() };
        Some(Self { inner, plan, sources })
    }
}

impl Analysis for Paired<'_> {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(PairedKernel {
            kernel: self.inner.kernel(),
            sources: Arc::clone(&self.sources),
            dictionaries: Dictionaries::new(self.inner.scan()),
            codes: HashMap::new(),
            times: self.plan.from_ms..self.plan.to_ms,
            matcher: Matcher::any(),
            masks: Masks::default(),
            wanted: Wanted::default(),
            blocks: Vec::new(),
        })
    }

    fn presence(&self) -> Option<&dyn Presence> {
        None
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.inner.answer(partial, facts)
    }
}

struct PairedKernel {
    kernel: Box<dyn Kernel>,
    sources: Arc<Vec<Source>>,
    /// The inner kernel's: the store's where columns are its own.
    dictionaries: Dictionaries,
    /// By text column and the store's codes of both values: the inner code of the pair.
    codes: HashMap<(usize, u32, u32), u32>,
    times: Range<i64>,
    /// Any event that the plan wants.
    matcher: Matcher,
    masks: Masks,
    /// The wanted rows of the block at hand: only they have pairs.
    wanted: Wanted,
    /// By slot: the block as the inner kernel sees it.
    blocks: Vec<Option<Block>>,
}

impl PairedKernel {
    /// Learn what the store's codes mean, those met since.
    fn learn(&mut self, store: &Dictionaries) {
        let Self { dictionaries, sources, .. } = self;
        let own = sources.iter().zip(&mut dictionaries.texts);
        let own = own.filter_map(|(source, inner)| match source {
            Source::Own(at) => Some((inner, &store.texts[*at])),
            Source::Pair(_) => None,
        });
        for (inner, store) in own.chain([(&mut dictionaries.events, &store.events)]) {
            for code in inner.len()..store.len() {
                inner.intern(store.text(code as u32).unwrap_or_default());
            }
        }
    }

    fn pairs(
        &mut self,
        at: usize,
        of: [TextColumn; 2],
        block: &Block,
        store: &Dictionaries,
    ) -> Coded {
        let [first, second] = of.map(|column| column.of_block(block));
        let dictionary = &mut self.dictionaries.texts[at];
        let known = &mut self.codes;
        let mut inner = |a: u32, b: u32| {
            *known.entry((at, a, b)).or_insert_with(|| match (a, b) {
                (ABSENT, ABSENT) => ABSENT,
                _ => {
                    let [a, b] = [(of[0], a), (of[1], b)]
                        .map(|(column, code)| column.dictionary(store).text(code));
                    dictionary.intern(&text([a, b]))
                }
            })
        };
        let rows = self.wanted.rows();
        let (width, len) = (second.global.len(), block.rows.end);
        let count = first.global.len().saturating_mul(width);
        if count <= PLAIN_MAX {
            let (codes, has) = match count <= 1 << 8 {
                true => {
                    let (codes, has) = plain(rows, first, second, count, len, |code| code as u8);
                    (Codes::U8(codes), has)
                }
                false => {
                    let (codes, has) = plain(rows, first, second, count, len, |code| code as u16);
                    (Codes::U16(codes), has)
                }
            };
            let mut pair =
                |code: usize| inner(first.global[code / width], second.global[code % width]);
            let global =
                (0..count).zip(has).map(|(code, has)| if has { pair(code) } else { ABSENT });
            let global: Vec<u32> = global.collect();
            return Coded { codes: Arc::new(codes), global: Arc::new(global) };
        }
        // Codes of the block's own, in the order they are met.
        let mut global = vec![ABSENT];
        let mut codes = vec![0u32; len];
        let mut table = vec![0u32; if count <= TABLE_MAX { count } else { 0 }];
        let mut met: HashMap<(u32, u32), u32> = HashMap::new();
        for row in rows.iter().map(|row| *row as usize) {
            let (a, b) = (first.codes.get(row), second.codes.get(row));
            let own = match table.get_mut(a as usize * width + b as usize) {
                Some(own) => own,
                None => met.entry((a, b)).or_insert(0),
            };
            if *own == 0 {
                *own = global.len() as u32;
                global.push(inner(first.global[a as usize], second.global[b as usize]));
            }
            codes[row] = *own;
        }
        let codes = Codes::new(codes.into_iter(), global.len());
        Coded { codes: Arc::new(codes), global: Arc::new(global) }
    }
}

/// The place of each row's pair among all `count` pairs of codes, and which of them there are. Rows that
/// are not listed have the first: absent, both.
fn plain<T: Copy + Default>(
    rows: &[u32],
    first: &Coded,
    second: &Coded,
    count: usize,
    len: usize,
    code: impl Fn(usize) -> T,
) -> (Vec<T>, Vec<bool>) {
    let (mut codes, mut has) = (vec![T::default(); len], vec![false; count]);
    let width = second.global.len();
    each_width!(&*first.codes, a => each_width!(&*second.codes, b => for row in rows {
        let row = *row as usize;
        let pair = a[row] as usize * width + b[row] as usize;
        codes[row] = code(pair);
        has[pair] = true;
    }));
    (codes, has)
}

impl Kernel for PairedKernel {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        self.learn(dictionaries);
        let Self { matcher, times, masks, wanted, .. } = self;
        matcher.list(block, dictionaries, times, masks, wanted);
        let sources = Arc::clone(&self.sources);
        let texts = sources.iter().enumerate().map(|(at, source)| match source {
            Source::Own(own) => block.texts[*own].clone(),
            Source::Pair(of) => self.pairs(at, *of, block, dictionaries),
        });
        let block = Block { texts: texts.collect(), ..block.clone() };
        self.kernel.block(slot, &block, &self.dictionaries);
        if self.blocks.len() <= slot {
            self.blocks.resize_with(slot + 1, || None);
        }
        self.blocks[slot] = Some(block);
    }

    fn whole(&mut self, slot: usize, _: &Block) -> bool {
        let Some(block) = &self.blocks[slot] else { return false };
        self.kernel.whole(slot, block)
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], _: &Dictionaries) {
        let blocks = &self.blocks;
        let own = |span: &Span<'_>| {
            let (slot, rows) = (span.slot, span.rows.clone());
            let block = blocks[slot].as_ref().expect("a block is shown before its persons");
            Span { slot, block, rows }
        };
        if spans.len() <= INLINE && !spans.is_empty() {
            let few: [Span<'_>; INLINE] =
                std::array::from_fn(|at| own(&spans[at.min(spans.len() - 1)]));
            self.kernel.person(person, &few[..spans.len()], &self.dictionaries);
        } else {
            let many: Vec<Span<'_>> = spans.iter().map(own).collect();
            self.kernel.person(person, &many, &self.dictionaries);
        }
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes() + self.dictionaries.bytes() + self.codes.len() * 32
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.kernel.finish(&self.dictionaries)
    }
}
