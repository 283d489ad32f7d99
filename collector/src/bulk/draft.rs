//! From the cells of one row to a stored event.
//!
//! In: cells, each with its target. Out: a [`Row`], or the code of what is wrong.
//!
//! **Ids.** An event keeps its UUIDv7. Any other text in `id`, and without an id the whole row, is
//! hashed into one that carries the event's time; rows without an id that are equal in every cell
//! are counted, so that two identical purchases stay two, and the same two when the file is imported
//! again. The hash is keyed with the project's key: an id must not be a way to test guesses about
//! the raw values it was made from. A session that is no UUID becomes one in the same way.

use std::borrow::Cow;

use hashbrown::HashMap;
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::hashing::Namespace;
use tallymark_protocol::limits::{EVENT_BYTES_MAX, EVENT_FUTURE_MS_MAX};
use tallymark_protocol::{event_name, props, uuid7};
use tallymark_store::row::flags;
use tallymark_store::{Dims, Row};

use super::at::AtReader;
use super::cell::{Cell, push_text};
use super::mapping::{Field, Target};
use super::people::People;
use crate::extract::clip;

/// Of every row that is not an export's.
const IMPORTED: u8 = flags::SERVER | flags::IMPORTED;

/// Makes rows of one project.
pub struct Drafter<'a> {
    project: u32,
    people: People<'a>,
    at: AtReader,
    now_ms: i64,
    seen: HashMap<u128, u32>,
}

/// Bytes kept of a dimension, as at ingest.
const DIM_BYTES_MAX: usize = 1024;

/// The row being put together.
#[derive(Debug)]
pub struct Draft<'a> {
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    at_ms: Option<i64>,
    user: Option<Cow<'a, str>>,
    device: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    seq: u32,
    stored_person: Option<u64>,
    stored_actor: Option<u64>,
    stored_here: bool,
    flags: u8,
    received_ms: Option<i64>,
    claimed_ms: Option<i64>,
    dims: Dims,
    props: String,
    /// The cells, whatever their order.
    content: u128,
    fault: Option<EventCode>,
}

impl<'a> Drafter<'a> {
    /// Rows of this project, read like this.
    pub fn new(project: u32, people: People<'a>, at: AtReader, now_ms: i64) -> Self {
        Self { project, people, at, now_ms, seen: HashMap::new() }
    }

    /// An empty row.
    pub fn draft<'c>(&self) -> Draft<'c> {
        Draft {
            id: None,
            name: None,
            at_ms: None,
            user: None,
            device: None,
            session: None,
            seq: 0,
            stored_person: None,
            stored_actor: None,
            stored_here: false,
            flags: 0,
            received_ms: None,
            claimed_ms: None,
            dims: std::array::from_fn(|_| None),
            props: String::from("{"),
            content: 0,
            fault: None,
        }
    }

    /// Put one cell where it belongs.
    pub fn put<'c>(&self, draft: &mut Draft<'c>, target: &Target, cell: Cell<'c>) {
        if cell == Cell::Absent {
            return;
        }
        match target {
            Target::Field(field) => self.put_field(draft, *field, cell),
            Target::Property(name) => {
                if draft.id.is_none() {
                    draft.content ^= cell.hash(xxhash_rust::xxh3::xxh3_64(name.as_bytes()));
                }
                let before = draft.props.len();
                if before > 1 {
                    draft.props.push(',');
                }
                push_text(&mut draft.props, name);
                draft.props.push(':');
                if !cell.push_json(&mut draft.props) {
                    draft.props.truncate(before);
                }
            }
        }
    }

    fn put_field<'c>(&self, draft: &mut Draft<'c>, field: Field, cell: Cell<'c>) {
        // Pseudonyms of another realm are new here, and so is what hangs on the moment of import:
        // neither says which event this is.
        let identifying = !matches!(
            field,
            Field::StoredRealm | Field::ReceivedAt | Field::ClaimedAt | Field::Flags
        );
        // A row with an id of its own is not told apart by its cells.
        if identifying && draft.id.is_none() {
            draft.content ^= cell.hash(field_seed(field));
        }
        let number = |cell: &Cell<'_>| cell.text().and_then(|text| text.parse::<i64>().ok());
        let fault = match field {
            Field::At => {
                draft.at_ms = self.at.read(&cell);
                draft.at_ms.is_none().then_some(EventCode::AtInvalid)
            }
            Field::Props => draft.put_props(&cell).err(),
            Field::Seq => match number(&cell).and_then(|n| u32::try_from(n).ok()) {
                Some(seq) => {
                    draft.seq = seq;
                    None
                }
                None => Some(EventCode::NInvalid),
            },
            Field::StoredPerson => {
                draft.stored_person = stored(&cell);
                draft.stored_person.is_none().then_some(EventCode::UserInvalid)
            }
            Field::StoredActor => {
                draft.stored_actor = stored(&cell);
                draft.stored_actor.is_none().then_some(EventCode::DeviceInvalid)
            }
            Field::StoredRealm => {
                draft.stored_here = cell.text().is_some_and(|text| text == self.people.realm());
                None
            }
            Field::Flags => {
                let known = flags::DAILY_ACTOR
                    | flags::CLOCK_SUSPECT
                    | flags::SERVER
                    | flags::IDENTIFIED
                    | flags::IMPORTED;
                draft.flags = number(&cell).and_then(|n| u8::try_from(n).ok()).unwrap_or(0) & known;
                None
            }
            Field::ReceivedAt => {
                draft.received_ms = number(&cell);
                None
            }
            Field::ClaimedAt => {
                draft.claimed_ms = number(&cell);
                None
            }
            Field::Dim(dim) => {
                let text = cell.text();
                let text = text.as_deref().map(|text| clip(text.trim(), DIM_BYTES_MAX));
                let text = text.filter(|text| !text.is_empty() && !text.contains(char::is_control));
                draft.dims[dim as usize] = text.map(Into::into);
                None
            }
            Field::Id => owned(cell, &mut draft.id, EventCode::EventIdInvalid),
            Field::Name => owned(cell, &mut draft.name, EventCode::EventNameInvalid),
            Field::User => owned(cell, &mut draft.user, EventCode::UserInvalid),
            Field::Device => owned(cell, &mut draft.device, EventCode::DeviceInvalid),
            Field::Session => owned(cell, &mut draft.session, EventCode::SessionInvalid),
        };
        draft.fault = draft.fault.or(fault);
    }

    /// The finished row.
    ///
    /// # Errors
    /// The code of the first thing that is wrong.
    pub fn finish(&mut self, mut draft: Draft<'_>) -> Result<Row, EventCode> {
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        let name = draft.name.take().ok_or(EventCode::EventNameInvalid)?;
        event_name::check(&name)?;
        let ts_ms = draft.at_ms.ok_or(EventCode::AtInvalid)?;
        if ts_ms.saturating_sub(self.now_ms) > EVENT_FUTURE_MS_MAX {
            return Err(EventCode::InFuture);
        }
        let (person, actor, flags) = self.who(&draft)?;
        let session = match draft.session.as_deref() {
            Some(text) => uuid7::parse(text).unwrap_or_else(|| self.people.session(text)),
            None => 0,
        };
        draft.props.push('}');
        if draft.props.len() > EVENT_BYTES_MAX {
            return Err(EventCode::EventTooLarge);
        }
        props::check(&draft.props)?;
        let event_id = self.event_id(&draft, ts_ms);
        Ok(Row {
            project: self.project,
            person,
            actor,
            ts_ms,
            seq: draft.seq,
            event_id,
            received_ms: draft.received_ms.unwrap_or(self.now_ms),
            claimed_ms: draft.claimed_ms.unwrap_or(ts_ms),
            flags,
            event: name.into(),
            session,
            dims: draft.dims.into(),
            props: draft.props.into(),
        })
    }

    fn who(&mut self, draft: &Draft<'_>) -> Result<(u64, u64, u8), EventCode> {
        if let (Some(person), Some(actor)) = (draft.stored_person, draft.stored_actor) {
            let flags = draft.flags | flags::STATED;
            if draft.stored_here {
                return Ok((person, actor, flags));
            }
            return Ok((self.people.moved(person), self.people.moved(actor), flags));
        }
        let user =
            draft.user.as_deref().map(|id| self.people.find(Namespace::User, id)).transpose()?;
        let device = draft
            .device
            .as_deref()
            .map(|id| self.people.find(Namespace::Device, id))
            .transpose()?;
        match (user, device) {
            (Some(person), actor) => {
                Ok((person, actor.unwrap_or(person), IMPORTED | flags::IDENTIFIED))
            }
            (None, Some(actor)) => Ok((actor, actor, IMPORTED)),
            (None, None) => Err(EventCode::NobodyKnown),
        }
    }

    fn event_id(&mut self, draft: &Draft<'_>, ts_ms: i64) -> u128 {
        let (content, occurrence) = match draft.id.as_deref() {
            Some(text) => match uuid7::parse(text).filter(|id| uuid7::unix_ms(*id).is_some()) {
                Some(id) => return id,
                None => (xxhash_rust::xxh3::xxh3_128(text.as_bytes()), 0),
            },
            None => {
                let times = self.seen.entry(draft.content).or_insert(0);
                *times += 1;
                (draft.content, *times)
            }
        };
        let random = self.people.event_random(content, occurrence);
        uuid7::make(u64::try_from(ts_ms).unwrap_or(0), random)
    }
}

impl Draft<'_> {
    /// Merge an object of properties in.
    fn put_props(&mut self, cell: &Cell<'_>) -> Result<(), EventCode> {
        let text = match cell {
            Cell::Json(text) => Cow::Borrowed(*text),
            other => other.text().ok_or(EventCode::PropsInvalid)?,
        };
        let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.ok_or(EventCode::PropsInvalid)?.trim();
        if !inner.is_empty() {
            if self.props.len() > 1 {
                self.props.push(',');
            }
            // Checked as a whole when the row is finished.
            self.props.push_str(inner);
        }
        Ok(())
    }
}

fn stored(cell: &Cell<'_>) -> Option<u64> {
    let text = cell.text()?;
    (text.len() == 16).then(|| u64::from_str_radix(&text, 16).ok()).flatten().filter(|id| *id != 0)
}

fn owned<'c>(
    cell: Cell<'c>,
    place: &mut Option<Cow<'c, str>>,
    fault: EventCode,
) -> Option<EventCode> {
    let text = match cell {
        Cell::Text(text) => Some(text),
        Cell::Untyped(text) => Some(Cow::Borrowed(text)),
        other => other.text().map(|text| Cow::Owned(text.into_owned())),
    };
    let fault = text.is_none().then_some(fault);
    *place = text;
    fault
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::at::AtFormat;
    use crate::bulk::mapping::Mapping;
    use crate::bulk::people::{Ids, realm};
    use rstest::rstest;
    use tallymark_protocol::hashing::{ServerHasher, h1};

    const NOW: i64 = 1_795_331_401_767;

    fn drafter(hasher: &ServerHasher, ids: Ids) -> Drafter<'_> {
        let at = AtReader::new(AtFormat::Auto, jiff::tz::TimeZone::UTC);
        Drafter::new(3, People::new("salt", hasher, ids), at, NOW)
    }

    fn row(drafter: &mut Drafter<'_>, cells: &[(&str, &str)]) -> Result<Row, EventCode> {
        let mapping = Mapping::default();
        let mut draft = drafter.draft();
        let targets: Vec<_> = cells.iter().map(|(name, _)| mapping.target(name)).collect();
        for (target, (_, text)) in targets.iter().zip(cells) {
            drafter.put(&mut draft, target, Cell::Untyped(text));
        }
        drafter.finish(draft)
    }

    const PURCHASE: [(&str, &str); 4] =
        [("name", "purchase"), ("at", "19970101"), ("user", "00004"), ("amount", "29.33")];

    #[test]
    fn equal_rows_are_different_events_and_the_same_ones_in_the_next_import() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let import = || {
            let mut drafter = drafter(&hasher, Ids::Raw);
            [row(&mut drafter, &PURCHASE).unwrap(), row(&mut drafter, &PURCHASE).unwrap()]
        };
        let (first, second) = (import(), import());
        assert_ne!(first[0].event_id, first[1].event_id);
        assert_eq!(first, second);
        assert_eq!(uuid7::unix_ms(first[0].event_id), Some(852_076_800_000));
        assert_eq!(&*first[0].props, r#"{"amount":29.33}"#);
    }

    #[test]
    fn the_order_of_columns_does_not_make_another_event() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let turned: Vec<_> = PURCHASE.into_iter().rev().collect();
        let straight = row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap();
        let turned = row(&mut drafter(&hasher, Ids::Raw), &turned).unwrap();
        assert_eq!(straight.event_id, turned.event_id);
    }

    #[test]
    fn an_id_cannot_be_made_again_without_the_pepper() {
        let id = |pepper: u8| {
            let hasher = ServerHasher::new(&[pepper; 32], 3);
            row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap().event_id
        };
        assert_ne!(id(7), id(8));
    }

    #[test]
    fn any_text_may_be_an_id_and_a_uuid7_stays_itself() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let mut drafter = drafter(&hasher, Ids::Raw);
        let mut with_id = |id| row(&mut drafter, &[&PURCHASE[..], &[("id", id)]].concat()).unwrap();
        let uuid = "01a20217-218f-7da0-9d12-b3f82d8397c8";
        assert_eq!(with_id(uuid).event_id, uuid7::parse(uuid).unwrap());
        assert_eq!(with_id("order-17").event_id, with_id("order-17").event_id);
        assert_ne!(with_id("order-17").event_id, with_id("order-18").event_id);
    }

    #[test]
    fn any_text_may_name_a_session_and_a_uuid_stays_itself() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let mut drafter = drafter(&hasher, Ids::Raw);
        let mut of = |session| {
            row(&mut drafter, &[&PURCHASE[..], &[("session", session)]].concat()).unwrap().session
        };
        let uuid = "01a20217-218f-4da0-9d12-b3f82d8397c8";
        assert_eq!(of(uuid), uuid7::parse(uuid).unwrap());
        assert_eq!(of("17"), of("17"));
        assert_ne!(of("17"), of("18"));
        assert_eq!(uuid7::parse(&uuid7::format(of("17"))), Some(of("17")));
        assert_eq!(of("17") >> 76 & 0xf, 8, "a UUID of version 8");
    }

    #[test]
    fn pseudonyms_stay_here_and_are_new_elsewhere_but_keep_persons_apart_and_together() {
        let home = ServerHasher::new(&[7; 32], 3);
        let here = realm(&home);
        let away = ServerHasher::new(&[7; 32], 4);
        let export = |person: &'static str| {
            [
                ("name", "a"),
                ("at", "2026-09-01"),
                ("stored_person", person),
                ("stored_actor", person),
                ("flags", "8"),
            ]
        };
        let people = |hasher: &ServerHasher, person| {
            let cells = [&export(person)[..], &[("stored_realm", here.as_str())]].concat();
            let row = row(&mut drafter(hasher, Ids::Raw), &cells).unwrap();
            (row.person, row.actor, row.flags)
        };
        let (ann, bob) = ("00000000000000aa", "00000000000000bb");
        assert_eq!(people(&home, ann), (0xaa, 0xaa, flags::IDENTIFIED));
        let moved = people(&away, ann);
        assert_ne!(moved.0, 0xaa);
        assert_eq!(moved.0, moved.1);
        assert_eq!(moved, people(&away, ann));
        assert_ne!(moved.0, people(&away, bob).0);
    }

    #[rstest]
    #[case::no_name(&[("at", "19970101"), ("user", "4")], EventCode::EventNameInvalid)]
    #[case::no_time(&[("name", "a"), ("user", "4")], EventCode::AtInvalid)]
    #[case::no_such_time(&[("name", "a"), ("at", "soon"), ("user", "4")], EventCode::AtInvalid)]
    #[case::nobody(&[("name", "a"), ("at", "19970101")], EventCode::NobodyKnown)]
    #[case::future(&[("name", "a"), ("at", "20270101"), ("user", "4")], EventCode::InFuture)]
    #[case::props(&[("name", "a"), ("at", "19970101"), ("user", "4"), ("props", "[]")], EventCode::PropsInvalid)]
    fn a_row_is_refused(#[case] cells: &[(&str, &str)], #[case] code: EventCode) {
        let hasher = ServerHasher::new(&[7; 32], 3);
        assert_eq!(row(&mut drafter(&hasher, Ids::Raw), cells), Err(code));
    }

    #[test]
    fn hashed_ids_are_taken_as_hashes_only() {
        let hasher = ServerHasher::new(&[7; 32], 3);
        let hash = tallymark_protocol::hashing::to_hex(&h1(b"salt", Namespace::User, "00004"));
        let cells = [("name", "purchase"), ("at", "19970101"), ("user", hash.as_str())];
        let hashed = row(&mut drafter(&hasher, Ids::Hashed), &cells).unwrap();
        let raw = row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap();
        assert_eq!(hashed.person, raw.person);
        assert_eq!(row(&mut drafter(&hasher, Ids::Hashed), &PURCHASE), Err(EventCode::UserInvalid));
    }
}
