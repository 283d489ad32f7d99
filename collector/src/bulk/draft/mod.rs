//! From the cells of a table to rows that can be stored.
//!
//! In: a [`Table`]. Out: [`Columns`] with the rows that are events, and the code of what is wrong with
//! each of the others: of its cells in the order of the columns, then of what is missing.
//!
//! **Ids.** An event keeps its UUIDv7. Any other text in `id`, and without an id the whole row, is
//! hashed into one that carries the event's time; rows without an id that are equal in every cell
//! are counted, so that two identical purchases stay two, and the same two when the file is imported
//! again. The hash is keyed with the project's key: an id must not be a way to test guesses about
//! the raw values it was made from. A session that is no UUID becomes one in the same way.
//!
//! **Times** up to five minutes ahead are what clocks do and count as now, as at ingest; later ones are
//! refused. The id carries the time that the file says, so that it is the same tomorrow.
//!
//! Deliberately elsewhere: properties (`properties`), who somebody is (`people`), which rows are
//! duplicates (the store).

#[cfg(test)]
mod tests;

use tallymark_protocol::codes::EventCode;
use tallymark_protocol::hashing::Namespace;
use tallymark_protocol::limits::EVENT_FUTURE_MS_MAX;
use tallymark_protocol::{event_name, uuid7};
use tallymark_store::Dim;
use tallymark_store::columns::Columns;
use tallymark_store::row::flags;

use super::at::AtReader;
use super::cell::Cell;
use super::mapping::{Field, Target};
use super::people::People;
use super::properties::{Properties, Texts};
use super::table::{Cells, Table};
use crate::extract::clip;

/// Makes rows of one project.
#[derive(Clone)]
pub struct Drafter<'a> {
    project: u32,
    people: People<'a>,
    at: AtReader,
    now_ms: i64,
    /// Of every row that is not an export's.
    flags: u8,
    /// What numbers are written into.
    buffer: String,
}

/// Bytes kept of a dimension, as at ingest.
const DIM_BYTES_MAX: usize = 1024;

/// A table, drafted.
pub struct Drafted {
    /// All rows; what those say that are no events means nothing.
    pub columns: Columns,
    /// The events, in order.
    pub rows: Vec<u32>,
    /// The others, in order.
    pub refused: Vec<(u32, EventCode)>,
    /// What the ids of rows without one are made of.
    pub contents: Contents,
}

/// By row: the hash of its cells, and when it happened, if its id is made of these.
pub struct Contents(Vec<Option<(u128, i64)>>);

/// The id of a row as the file has it.
#[derive(Clone, Copy)]
enum Id {
    None,
    Uuid(u128),
    /// The hash of another text.
    Text(u128),
}

/// A person, or what is wrong with the id.
type Who = Option<Result<u64, EventCode>>;

/// What the columns say that were met so far.
struct Fields {
    rows: usize,
    fault: Vec<Option<EventCode>>,
    id: Vec<Id>,
    content: Vec<u128>,
    name: Texts,
    at_ms: Vec<Option<i64>>,
    user: Vec<Who>,
    device: Vec<Who>,
    session: Vec<u128>,
    seq: Vec<u32>,
    /// Nothing until a row has one.
    writer: Vec<u64>,
    stored_person: Vec<Option<u64>>,
    stored_actor: Vec<Option<u64>>,
    stored_here: Vec<bool>,
    flags: Vec<u8>,
    claimed_ms: Vec<Option<i64>>,
    dims: Vec<Texts>,
    props: Properties,
}

impl Fields {
    fn new(rows: usize) -> Self {
        Self {
            rows,
            fault: vec![None; rows],
            id: vec![Id::None; rows],
            content: vec![0; rows],
            name: Texts::default(),
            at_ms: vec![None; rows],
            user: vec![None; rows],
            device: vec![None; rows],
            session: vec![0; rows],
            seq: vec![0; rows],
            writer: Vec::new(),
            stored_person: vec![None; rows],
            stored_actor: vec![None; rows],
            stored_here: vec![false; rows],
            flags: vec![0; rows],
            claimed_ms: vec![None; rows],
            dims: Dim::ALL.iter().map(|_| Texts::default()).collect(),
            props: Properties::new(rows),
        }
    }

    /// The first fault of a row counts.
    fn fail(&mut self, row: usize, fault: EventCode) {
        self.fault[row].get_or_insert(fault);
    }

    /// Take the outcome of a cell.
    fn take<T: Clone>(
        &mut self,
        row: usize,
        outcome: &Result<T, EventCode>,
        place: impl FnOnce(&mut Self) -> &mut T,
    ) {
        match outcome {
            Ok(value) => *place(self) = value.clone(),
            Err(fault) => self.fail(row, *fault),
        }
    }
}

impl<'a> Drafter<'a> {
    /// Rows of this project, read like this, with these flags.
    pub fn new(project: u32, people: People<'a>, at: AtReader, now_ms: i64, flags: u8) -> Self {
        Self { project, people, at, now_ms, flags, buffer: String::new() }
    }

    /// Draft the rows of a table.
    pub fn draft(&mut self, table: &Table<'_>) -> Drafted {
        let mut fields = Fields::new(table.rows);
        for (row, why) in &table.unreadable {
            fields.fail(*row as usize, *why);
        }
        // A row with an id of its own is not told apart by its cells.
        for (_, cells) in table.columns.iter().filter(|(target, _)| is_id(target)) {
            self.put_ids(&mut fields, cells);
        }
        let hashes = fields.id.iter().any(|id| matches!(id, Id::None));
        for (target, cells) in &table.columns {
            match target {
                Target::Field(field) => self.put_field(&mut fields, *field, cells, hashes),
                Target::Property(name) => self.put_property(&mut fields, name, cells, hashes),
            }
        }
        self.finish(fields)
    }

    fn put_ids(&mut self, fields: &mut Fields, cells: &Cells<'_>) {
        let buffer = &mut self.buffer;
        let id = |cell: Cell<'_>| {
            let text = cell.text(buffer).ok_or(EventCode::EventIdInvalid)?;
            Ok(match uuid7::parse(text).filter(|id| uuid7::unix_ms(*id).is_some()) {
                Some(id) => Id::Uuid(id),
                None => Id::Text(xxhash_rust::xxh3::xxh3_128(text.as_bytes())),
            })
        };
        cells.each(fields.rows, id, |row, id| fields.take(row, id, |fields| &mut fields.id[row]));
    }

    fn put_property(&mut self, fields: &mut Fields, name: &str, cells: &Cells<'_>, hashes: bool) {
        let seed = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        let column = fields.props.column(name);
        let Fields { props, content, rows, .. } = fields;
        let (buffer, props) = (&mut self.buffer, std::cell::RefCell::new(props));
        let of = |cell: Cell<'_>| {
            let hash = if hashes { cell.hash(seed, buffer) } else { 0 };
            (hash, props.borrow_mut().slot(column, cell))
        };
        cells.each(*rows, of, |row, (hash, slot)| {
            content[row] ^= hash;
            props.borrow_mut().put(column, row, slot);
        });
    }

    fn put_field(&mut self, fields: &mut Fields, field: Field, cells: &Cells<'_>, hashes: bool) {
        // Pseudonyms of another realm are new here, and so is what hangs on the moment of import:
        // neither says which event this is.
        let identifying = !matches!(
            field,
            Field::Id
                | Field::StoredRealm
                | Field::StoredWriter
                | Field::ReceivedAt
                | Field::ClaimedAt
                | Field::Flags
        );
        let rows = fields.rows;
        if hashes && identifying {
            let (seed, buffer) = (field_seed(field), &mut self.buffer);
            let content = &mut fields.content;
            cells.each(rows, |cell| cell.hash(seed, buffer), |row, hash| content[row] ^= hash);
        }
        let Self { people, at, buffer, .. } = self;
        /// Put what `$of` makes of a cell into a column.
        macro_rules! put {
            ($column:ident, $of:expr) => {{
                let of = &mut $of;
                cells.each(
                    rows,
                    |cell: Cell<'_>| of(&cell),
                    |row, value| fields.take(row, value, |fields| &mut fields.$column[row]),
                )
            }};
        }
        match field {
            // We get it now, whoever got it before: so its id is kept as long as that of any other,
            // and importing it twice changes nothing.
            Field::Id | Field::ReceivedAt => {}
            Field::At => put!(at_ms, |cell: &Cell<'_>| match at.read(cell) {
                Some(ms) => Ok(Some(ms)),
                None => Err(EventCode::AtInvalid),
            }),
            Field::Name => {
                let name = std::cell::RefCell::new(std::mem::take(&mut fields.name));
                let of = |cell: Cell<'_>| {
                    let text = cell.text(buffer).ok_or(EventCode::EventNameInvalid)?;
                    Ok(name.borrow_mut().code(text))
                };
                cells.each(rows, of, |row, code| match code {
                    Ok(code) => name.borrow_mut().set(rows, row, *code),
                    Err(fault) => fields.fail(row, *fault),
                });
                fields.name = name.into_inner();
            }
            Field::User => put!(user, |cell: &Cell<'_>| {
                let text = cell.text(buffer).ok_or(EventCode::UserInvalid)?;
                Ok(Some(people.find(Namespace::User, text)))
            }),
            Field::Device => put!(device, |cell: &Cell<'_>| {
                let text = cell.text(buffer).ok_or(EventCode::DeviceInvalid)?;
                Ok(Some(people.find(Namespace::Device, text)))
            }),
            Field::Session => put!(session, |cell: &Cell<'_>| {
                let text = cell.text(buffer).ok_or(EventCode::SessionInvalid)?;
                Ok(uuid7::parse(text).unwrap_or_else(|| people.session(text)))
            }),
            Field::Seq => put!(seq, |cell: &Cell<'_>| {
                let seq = number(cell, buffer).and_then(|n| u32::try_from(n).ok());
                seq.ok_or(EventCode::NInvalid)
            }),
            Field::StoredWriter => {
                fields.writer.resize(rows, 0);
                put!(writer, |cell: &Cell<'_>| {
                    let writer = number(cell, buffer).and_then(|n| u64::try_from(n).ok());
                    writer.filter(|writer| *writer < 1 << 53).ok_or(EventCode::WriterInvalid)
                });
            }
            Field::Props => {
                let mut json = String::new();
                let of = |cell: Cell<'_>| -> Result<Box<str>, EventCode> {
                    Ok(match cell {
                        Cell::Json(text) => text.into(),
                        other => other.text(&mut json).ok_or(EventCode::PropsInvalid)?.into(),
                    })
                };
                cells.each(rows, of, |row, text| {
                    let put = text.as_ref().map_err(|fault| *fault);
                    if let Err(fault) = put.and_then(|text| fields.props.put_object(row, text)) {
                        fields.fail(row, fault);
                    }
                });
            }
            Field::StoredPerson => put!(stored_person, |cell: &Cell<'_>| {
                stored(cell, buffer).map(Some).ok_or(EventCode::UserInvalid)
            }),
            Field::StoredActor => put!(stored_actor, |cell: &Cell<'_>| {
                stored(cell, buffer).map(Some).ok_or(EventCode::DeviceInvalid)
            }),
            Field::StoredRealm => put!(stored_here, |cell: &Cell<'_>| {
                Ok(cell.text(buffer) == Some(people.realm()))
            }),
            Field::Flags => put!(flags, |cell: &Cell<'_>| {
                let known = flags::DAILY_ACTOR
                    | flags::CLOCK_SUSPECT
                    | flags::SERVER
                    | flags::IDENTIFIED
                    | flags::IMPORTED;
                Ok(number(cell, buffer).and_then(|n| u8::try_from(n).ok()).unwrap_or(0) & known)
            }),
            Field::ClaimedAt => put!(claimed_ms, |cell: &Cell<'_>| Ok(number(cell, buffer))),
            Field::Dim(dim) => {
                let texts = std::mem::take(&mut fields.dims[dim as usize]);
                let texts = std::cell::RefCell::new(texts);
                let of = |cell: Cell<'_>| {
                    let text = cell.text(buffer).map(|text| clip(text.trim(), DIM_BYTES_MAX));
                    let is_one = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
                    text.filter(is_one).map_or(0, |text| texts.borrow_mut().code(text))
                };
                cells.each(rows, of, |row, code| texts.borrow_mut().set(rows, row, *code));
                fields.dims[dim as usize] = texts.into_inner();
            }
        }
    }

    /// The rows, put together.
    fn finish(&mut self, mut fields: Fields) -> Drafted {
        let count = fields.rows;
        let names: Vec<_> =
            fields.name.values().iter().map(|name| event_name::check(name)).collect();
        let mut columns = Columns {
            project: vec![self.project; count],
            person: vec![0; count],
            actor: vec![0; count],
            ts: vec![0; count],
            event_id: vec![0; count],
            received: vec![self.now_ms; count],
            claimed: vec![0; count],
            flags: vec![0; count],
            ..Columns::default()
        };
        let mut contents = vec![None; count];
        let (mut rows, mut refused) = (Vec::with_capacity(count), Vec::new());
        for (row, content) in contents.iter_mut().enumerate() {
            let checked = self.check(&fields, &names, row);
            let (at_ms, (person, actor, flags)) = match checked {
                Ok(checked) => checked,
                Err(code) => {
                    refused.push((row as u32, code));
                    continue;
                }
            };
            rows.push(row as u32);
            columns.person[row] = person;
            columns.actor[row] = actor;
            columns.flags[row] = flags;
            columns.ts[row] = at_ms.min(self.now_ms);
            columns.claimed[row] = fields.claimed_ms[row].unwrap_or(at_ms);
            columns.event_id[row] = match fields.id[row] {
                Id::Uuid(id) => id,
                Id::Text(hash) => derived_id(&self.people, at_ms, hash, 0),
                Id::None => {
                    *content = Some((fields.content[row], at_ms));
                    derived_id(&self.people, at_ms, fields.content[row], 1)
                }
            };
        }
        columns.seq = std::mem::take(&mut fields.seq);
        columns.writer = std::mem::take(&mut fields.writer);
        columns.session = std::mem::take(&mut fields.session);
        columns.event = fields.name.finish();
        columns.dims = fields.dims.into_iter().map(Texts::finish).collect();
        (columns.properties, columns.rest) = fields.props.finish();
        Drafted { columns, rows, refused, contents: Contents(contents) }
    }

    /// What is wrong with a row; otherwise when it happened and who did it.
    fn check(
        &mut self,
        fields: &Fields,
        names: &[Result<(), EventCode>],
        row: usize,
    ) -> Result<(i64, (u64, u64, u8)), EventCode> {
        if let Some(fault) = fields.fault[row] {
            return Err(fault);
        }
        let name = (fields.name.get(row) as usize).checked_sub(1);
        names[name.ok_or(EventCode::EventNameInvalid)?]?;
        let at_ms = fields.at_ms[row].ok_or(EventCode::AtInvalid)?;
        if at_ms.saturating_sub(self.now_ms) > EVENT_FUTURE_MS_MAX {
            return Err(EventCode::InFuture);
        }
        let who = self.who(fields, row)?;
        fields.props.check(row)?;
        Ok((at_ms, who))
    }

    fn who(&mut self, fields: &Fields, row: usize) -> Result<(u64, u64, u8), EventCode> {
        if let (Some(person), Some(actor)) = (fields.stored_person[row], fields.stored_actor[row]) {
            let flags = fields.flags[row] | flags::STATED;
            if fields.stored_here[row] {
                return Ok((person, actor, flags));
            }
            return Ok((self.people.moved(person), self.people.moved(actor), flags));
        }
        match (fields.user[row].transpose()?, fields.device[row].transpose()?) {
            (Some(person), actor) => {
                Ok((person, actor.unwrap_or(person), self.flags | flags::IDENTIFIED))
            }
            (None, Some(actor)) => Ok((actor, actor, self.flags)),
            (None, None) => Err(EventCode::NobodyKnown),
        }
    }

    /// The id of a row without one of its own, for the second, third … time that it occurs; `None` for
    /// other rows.
    pub fn again(&self, contents: &Contents, row: usize, occurrence: u32) -> Option<u128> {
        let (content, at_ms) = contents.0[row]?;
        Some(derived_id(&self.people, at_ms, content, occurrence))
    }
}

fn derived_id(people: &People<'_>, at_ms: i64, content: u128, occurrence: u32) -> u128 {
    let random = people.event_random(content, occurrence);
    uuid7::make(u64::try_from(at_ms).unwrap_or(0), random)
}

fn is_id(target: &Target) -> bool {
    *target == Target::Field(Field::Id)
}

fn number(cell: &Cell<'_>, buffer: &mut String) -> Option<i64> {
    cell.text(buffer)?.parse().ok()
}

fn stored(cell: &Cell<'_>, buffer: &mut String) -> Option<u64> {
    let text = cell.text(buffer)?;
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

/// Seeds of the fields' hashes. On disk through event ids: never change one.
fn field_seed(field: Field) -> u64 {
    match field {
        Field::Dim(dim) => xxhash_rust::xxh3::xxh3_64(dim.name().as_bytes()) ^ 1,
        named => {
            let name = Field::NAMED.iter().find(|(_, f)| *f == named).map_or("", |(name, _)| name);
            xxhash_rust::xxh3::xxh3_64(name.as_bytes()) ^ 2
        }
    }
}
