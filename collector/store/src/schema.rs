//! What was seen: event names, their properties, how often, of which types, and when last.
//!
//! In: rows, counted per flush as [`SchemaDelta`]s. Out: a [`Schema`], the sum of deltas.
//!
//! Invariant: adding is commutative, so the schema does not depend on where a flush was.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::columns::{Columns, PropertyColumn};
use crate::names::Names;
use crate::props::{self, ValueType};

/// Everything seen in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// By event name.
    pub events: BTreeMap<String, EventSchema>,
}

/// One event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSchema {
    /// Rows of this name.
    pub count: u64,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
    /// By property name, top level only.
    pub properties: BTreeMap<String, PropertySchema>,
}

/// One property of one event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertySchema {
    /// How often, by type.
    pub types: TypeCounts,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
}

/// How often a property had a value of each type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TypeCounts {
    /// JSON strings.
    pub texts: u64,
    /// JSON numbers.
    pub numbers: u64,
    /// `true` and `false`.
    pub bools: u64,
    /// Objects, arrays and nulls.
    pub others: u64,
}

/// What one flush adds: one row per event name, and one per event name and property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDelta {
    /// The tenant.
    pub project: u32,
    /// Event name.
    pub event: String,
    /// Property name; `None` in the row of the event itself.
    pub property: Option<String>,
    /// Rows that are counted here.
    pub count: u64,
    /// Their types; all zero in the row of the event itself.
    pub types: TypeCounts,
    /// Latest event time, Unix milliseconds.
    pub last_ms: i64,
}

impl Schema {
    /// Add what a flush saw. The caller sees to the project.
    pub fn add(&mut self, delta: &SchemaDelta) {
        let event = self.events.entry(delta.event.clone()).or_insert_with(|| EventSchema {
            count: 0,
            last_ms: i64::MIN,
            properties: BTreeMap::new(),
        });
        let Some(property) = &delta.property else {
            event.count += delta.count;
            event.last_ms = event.last_ms.max(delta.last_ms);
            return;
        };
        let property = event
            .properties
            .entry(property.clone())
            .or_insert_with(|| PropertySchema { types: TypeCounts::default(), last_ms: i64::MIN });
        property.types.add(&delta.types);
        property.last_ms = property.last_ms.max(delta.last_ms);
    }
}

impl TypeCounts {
    /// Add the counts of another part.
    pub fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.numbers += other.numbers;
        self.bools += other.bools;
        self.others += other.others;
    }

    /// One value.
    pub(crate) fn one(value: ValueType) -> Self {
        let mut counts = Self::default();
        counts.add_one(value);
        counts
    }

    pub(crate) fn add_one(&mut self, value: ValueType) {
        match value {
            ValueType::Text => self.texts += 1,
            ValueType::Number => self.numbers += 1,
            ValueType::Bool => self.bools += 1,
            ValueType::Other => self.others += 1,
        }
    }

    /// Values of any type.
    pub fn total(&self) -> u64 {
        self.texts + self.numbers + self.bools + self.others
    }
}

/// Counts rows into deltas.
///
/// Names come from outside, so their number is bounded: beyond it a row still counts for the
/// names that are known, and new names are left out of the schema (never out of the store).
#[derive(Debug, Default, Clone)]
pub(crate) struct SchemaCounter {
    /// By project and event name.
    events: BTreeMap<(u32, Box<str>), EventCount>,
    names: usize,
}

#[derive(Debug, Default, Clone)]
struct EventCount {
    count: u64,
    last_ms: Option<i64>,
    properties: BTreeMap<Box<str>, (TypeCounts, i64)>,
}

/// The count of an event name; `None` when there are too many names and this is a new one.
fn event<'a>(
    events: &'a mut BTreeMap<(u32, Box<str>), EventCount>,
    names: &mut usize,
    project: u32,
    name: &str,
) -> Option<&'a mut EventCount> {
    match events.entry((project, name.into())) {
        Entry::Occupied(event) => Some(event.into_mut()),
        Entry::Vacant(slot) if *names < SchemaCounter::NAMES_MAX => {
            *names += 1;
            Some(slot.insert(EventCount::default()))
        }
        Entry::Vacant(_) => None,
    }
}

impl EventCount {
    fn add(&mut self, count: u64, last_ms: i64) {
        self.count += count;
        self.last_ms = self.last_ms.max(Some(last_ms));
    }

    fn add_property(&mut self, names: &mut usize, key: &str, types: &TypeCounts, last_ms: i64) {
        if !self.properties.contains_key(key) {
            if *names >= SchemaCounter::NAMES_MAX {
                return;
            }
            *names += 1;
            self.properties.insert(key.into(), (TypeCounts::default(), i64::MIN));
        }
        let Some((sum, last)) = self.properties.get_mut(key) else { return };
        sum.add(types);
        *last = last_ms.max(*last);
    }
}

impl SchemaCounter {
    /// Names (of events, and of properties per event) in one counter.
    const NAMES_MAX: usize = 20_000;

    /// Count rows of one project and event name: their times and properties.
    pub(crate) fn add<'a>(
        &mut self,
        project: u32,
        name: &str,
        rows: impl Iterator<Item = (i64, &'a str)>,
    ) {
        let Some(event) = event(&mut self.events, &mut self.names, project, name) else { return };
        let mut keys = Names::new(Self::NAMES_MAX);
        let mut properties: Vec<(Box<str>, TypeCounts, i64)> = Vec::new();
        for (ts_ms, props) in rows {
            event.add(1, ts_ms);
            for entry in props::entries(props).into_iter().flatten() {
                let Some(key) = keys.number(entry.raw_key) else { continue };
                if key == properties.len() {
                    properties.push((entry.key().into(), TypeCounts::default(), i64::MIN));
                }
                let (_, types, last_ms) = &mut properties[key];
                types.add_one(entry.value_type());
                *last_ms = ts_ms.max(*last_ms);
            }
        }
        for (key, types, last_ms) in properties {
            event.add_property(&mut self.names, &key, &types, last_ms);
        }
    }

    /// Count rows of one project.
    pub(crate) fn add_columns(&mut self, project: u32, columns: &Columns) {
        let names = &columns.event.values;
        let none = (TypeCounts::default(), i64::MIN);
        let mut rows = vec![(0, i64::MIN); names.len() + 1];
        for (row, ts_ms) in columns.ts.iter().enumerate() {
            let of_event = &mut rows[columns.event.code(row) as usize];
            *of_event = (of_event.0 + 1, of_event.1.max(*ts_ms));
        }
        for (name, (count, last_ms)) in names.iter().zip(&rows[1..]).filter(|(_, n)| n.0 > 0) {
            if let Some(event) = event(&mut self.events, &mut self.names, project, name) {
                event.add(*count, *last_ms);
            }
        }
        for PropertyColumn { key, values } in &columns.properties {
            let mut seen = vec![none; names.len() + 1];
            for row in (0..columns.len()).filter(|&row| values.has(row)) {
                let (types, last_ms) = &mut seen[columns.event.code(row) as usize];
                types.add_one(values.value_type());
                *last_ms = columns.ts[row].max(*last_ms);
            }
            for (name, (types, last_ms)) in names.iter().zip(&seen[1..]) {
                if types.total() > 0
                    && let Some(event) = event(&mut self.events, &mut self.names, project, name)
                {
                    event.add_property(&mut self.names, key, types, *last_ms);
                }
            }
        }
        let rest = (0..columns.len()).map(|row| (row, columns.rest.get(row)));
        for (row, rest) in rest.filter(|(_, rest)| !rest.is_empty()) {
            let name = columns.event.get(row).unwrap_or("");
            let found = event(&mut self.events, &mut self.names, project, name);
            let Some(event) = found else { continue };
            for entry in props::entries(rest).into_iter().flatten() {
                let types = TypeCounts::one(entry.value_type());
                event.add_property(&mut self.names, &entry.key(), &types, columns.ts[row]);
            }
        }
    }

    /// Add another counter.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, theirs) in &other.events {
            let ours = self.events.entry(key.clone()).or_default();
            ours.count += theirs.count;
            ours.last_ms = ours.last_ms.max(theirs.last_ms);
            for (name, (types, last_ms)) in &theirs.properties {
                let property = ours
                    .properties
                    .entry(name.clone())
                    .or_insert((TypeCounts::default(), *last_ms));
                property.0.add(types);
                property.1 = property.1.max(*last_ms);
            }
        }
    }

    /// How often each property occurs, over all projects and events.
    pub(crate) fn property_counts(&self) -> BTreeMap<Box<str>, TypeCounts> {
        let mut counts: BTreeMap<Box<str>, TypeCounts> = BTreeMap::new();
        for (name, (types, _)) in self.events.values().flat_map(|event| &event.properties) {
            counts.entry(name.clone()).or_default().add(types);
        }
        counts
    }

    /// The rows a catalog adds.
    pub(crate) fn deltas(&self) -> Vec<SchemaDelta> {
        let mut deltas = Vec::with_capacity(self.names);
        for ((project, name), event) in &self.events {
            let row = |property: Option<&str>, count, types, last_ms| SchemaDelta {
                project: *project,
                event: name.to_string(),
                property: property.map(Into::into),
                count,
                types,
                last_ms,
            };
            let last_ms = event.last_ms.unwrap_or(i64::MIN);
            deltas.push(row(None, event.count, TypeCounts::default(), last_ms));
            for (property, (types, last_ms)) in &event.properties {
                deltas.push(row(Some(property), types.total(), *types, *last_ms));
            }
        }
        deltas
    }
}
