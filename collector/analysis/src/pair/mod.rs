//! A breakdown by two properties: a column of pairs of values, so that no kernel knows of two.
//!
//! In: an analysis whose plan has a column that is named after two properties ([`column`]). Out: the same analysis
//! over the columns that a store has ([`Paired`]), and pairs read back from the texts that stand for them
//! ([`parse`]).
//!
//! A pair is absent when both values are; one of them may be.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::answer::{Answer, Facts};
use crate::columns::{Block, Coded, Codes, Span};
use crate::events::{ABSENT, Dictionaries, ScanPlan};
use crate::filter::{Columns, TextColumn};
use crate::kernel::{Analysis, Kernel, Partial};
use crate::presence::Presence;

#[cfg(test)]
mod tests;

/// What names of such columns and texts of pairs begin with: no property has it.
const MARK: char = '\0';
/// Pairs of a block's own codes that are looked up in a table.
const TABLE_MAX: usize = 1 << 16;

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
        // Codes of the block's own, in the order they are met.
        let mut global = vec![ABSENT];
        let mut codes = vec![0u32; block.rows.end];
        let width = second.global.len();
        let table_len = Some(first.global.len().saturating_mul(width)).filter(|n| *n <= TABLE_MAX);
        let mut table = vec![0u32; table_len.unwrap_or(0)];
        let mut met: HashMap<(u32, u32), u32> = HashMap::new();
        for row in block.rows.clone() {
            // Rows that nobody wants may have no values either.
            if block.event.get(row) == ABSENT {
                continue;
            }
            let (a, b) = (first.codes.get(row), second.codes.get(row));
            let own = match table_len {
                Some(_) => &mut table[a as usize * width + b as usize],
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

impl Kernel for PairedKernel {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        self.learn(dictionaries);
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
        let inner = |span: &Span<'_>| {
            let (slot, rows) = (span.slot, span.rows.clone());
            Some((slot, blocks[slot].as_ref()?, rows))
        };
        let spans = spans.iter().filter_map(inner);
        let spans: Vec<_> = spans.map(|(slot, block, rows)| Span { slot, block, rows }).collect();
        self.kernel.person(person, &spans, &self.dictionaries);
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes() + self.dictionaries.bytes() + self.codes.len() * 32
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.kernel.finish(&self.dictionaries)
    }
}
