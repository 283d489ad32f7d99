//! The currency of an amount: what its event names, or what the project counts in where it names none.
//!
//! In: the column of the names. Out: their codes, with one for an amount that has none of its own.
//!
//! Deliberately elsewhere: what an amount is and how amounts are added up (`revenue`, `attribution`). Nothing converts
//! one currency to another.

use serde::{Deserialize, Serialize};

use crate::events::{ABSENT, Dictionaries, Run};
use crate::filter::TextColumn;
use crate::kernel::Key;

/// A currency's code as ISO 4217 has it: three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of this code.
    pub fn parse(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// Its code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::parse(&code)
            .ok_or_else(|| format!("{code:?} is no currency; write three capital letters: EUR"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// The column with the currency of amounts.
#[derive(Debug, Clone)]
pub(crate) struct Currencies {
    column: TextColumn,
    default: Option<Currency>,
    /// Code of the default, once an event names it: before that, no amount of a person can have both.
    code: u32,
    learned: usize,
}

impl Currencies {
    pub(crate) fn new(column: TextColumn, default: Option<Currency>) -> Self {
        Self { column, default, code: ABSENT, learned: 0 }
    }

    /// Before rows of these dictionaries.
    pub(crate) fn learn(&mut self, dictionaries: &Dictionaries) {
        let Some(default) = self.default.filter(|_| self.code == ABSENT) else { return };
        let names = self.column.dictionary(dictionaries);
        if self.learned < names.len() {
            self.learned = names.len();
            self.code = names.find(default.code()).unwrap_or(ABSENT);
        }
    }

    /// What an amount without a currency is in.
    pub(crate) const fn default(&self) -> u32 {
        self.code
    }

    /// What the row itself names.
    pub(crate) fn named(&self, run: &Run<'_>, row: usize) -> Option<u32> {
        Some(self.column.of(run)[row]).filter(|code| *code != ABSENT)
    }

    /// The column of a block, in which [`ABSENT`] stands for [`Self::default`].
    pub(crate) const fn column(&self) -> TextColumn {
        self.column
    }

    /// Of a code, in tables.
    pub(crate) fn key(&self, code: u32, dictionaries: &Dictionaries) -> Key {
        let name = self.column.dictionary(dictionaries).text(code);
        Key::from_text(name.or(self.default.as_ref().map(Currency::code)))
    }
}
