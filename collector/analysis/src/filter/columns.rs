//! The columns a question needs: names while it is compiled, places in a run afterwards.

use crate::columns::{Block, Coded};
use crate::events::{Actors, Dictionaries, Dictionary, EventSet, Run, ScanPlan};

/// The columns a question asks for, each once.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Properties as texts.
    pub texts: Vec<String>,
    /// Properties as numbers.
    pub numbers: Vec<String>,
}

impl Columns {
    /// The column of a property as text.
    pub fn text(&mut self, prop: &str) -> TextColumn {
        if prop == "event" {
            return TextColumn::Event;
        }
        TextColumn::Prop(position(&mut self.texts, prop))
    }

    /// The column of a property as a number.
    pub fn number(&mut self, prop: &str) -> usize {
        position(&mut self.numbers, prop)
    }
}

fn position(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.into());
        names.len() - 1
    })
}

impl ScanPlan {
    /// A plan with these columns.
    pub(crate) fn with(columns: Columns, from_ms: i64, to_ms: i64, events: EventSet) -> Self {
        let Columns { texts, numbers } = columns;
        let actors = Actors::Never;
        let needs = Vec::new();
        let only = None;
        Self { from_ms, to_ms, events, needs, only, texts, numbers, actors, sessions: false }
    }
}

/// A column of codes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextColumn {
    /// The event's name.
    Event,
    /// A text column of the plan.
    Prop(usize),
}

impl TextColumn {
    /// The codes of a run.
    #[inline]
    pub fn of<'a>(self, run: &Run<'a>) -> &'a [u32] {
        match self {
            Self::Event => run.event,
            Self::Prop(column) => run.texts[column],
        }
    }

    /// The codes of a block.
    #[inline]
    pub fn of_block(self, block: &Block) -> &Coded {
        match self {
            Self::Event => &block.event,
            Self::Prop(column) => &block.texts[column],
        }
    }

    /// What the codes mean.
    #[inline]
    pub fn dictionary(self, dictionaries: &Dictionaries) -> &Dictionary {
        match self {
            Self::Event => &dictionaries.events,
            Self::Prop(column) => &dictionaries.texts[column],
        }
    }
}
