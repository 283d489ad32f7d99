//! Rows as bytes of a log frame, and back. Our own encoding, so that no upgrade of a library
//! touches what was acknowledged.
//!
//! Every payload starts with its version. Version 1 of *Events*: a table of the texts that rows
//! share (names, dimensions), then the rows, with times as differences to the row before. In version 2
//! rows may have a writer.
//! Version 1 of *Bad*: the refused rows, one after the other.
//! Version 1 of *Link* and *Erase*: one command.
//!
//! Invariant: decoding gives the rows that were encoded, bit by bit; any other bytes give an
//! error and never a panic.

use std::sync::Arc;

use hashbrown::HashMap;

use super::codec::{Reader, put_i64, put_text, put_u64};
use crate::catalog::RefusedRow;
use crate::people::{Ends, PeopleCommand};
use crate::row::{Dim, Dims, Row};

/// Newest version of Events that we read; the one we write.
pub(crate) const ROWS_VERSION: u8 = 2;
/// The same of all other payloads.
pub(crate) const PAYLOAD_VERSION: u8 = 1;

/// Why a payload with a good checksum cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadError {
    /// Written by a later program.
    Newer(u8),
    /// Not what we write: a mistake of ours, or a forged file.
    Malformed,
}

const ACTOR_IS_PERSON: u8 = 1;
const HAS_SESSION: u8 = 2;
/// Since version 2.
const HAS_WRITER: u8 = 4;

/// Encode rows as an Events payload.
pub(crate) fn encode_rows(rows: &[Row]) -> Vec<u8> {
    let mut body = Vec::with_capacity(rows.len() * 128);
    let mut texts = Texts::default();
    let (mut ts, mut received) = (0, 0);
    // Rows of one batch share their dimensions: written once, then copied.
    let mut last_dims: Option<(&Arc<Dims>, std::ops::Range<usize>)> = None;
    put_u64(&mut body, rows.len() as u64);
    for row in rows {
        let mut head = 0;
        if row.actor == row.person {
            head |= ACTOR_IS_PERSON;
        }
        if row.session != 0 {
            head |= HAS_SESSION;
        }
        if row.writer != 0 {
            head |= HAS_WRITER;
        }
        body.push(head);
        body.push(row.flags);
        put_u64(&mut body, u64::from(row.project));
        body.extend_from_slice(&row.person.to_le_bytes());
        if row.actor != row.person {
            body.extend_from_slice(&row.actor.to_le_bytes());
        }
        put_i64(&mut body, row.ts_ms.wrapping_sub(ts));
        put_u64(&mut body, u64::from(row.seq));
        if row.writer != 0 {
            body.extend_from_slice(&row.writer.to_le_bytes());
        }
        body.extend_from_slice(&row.event_id.to_be_bytes());
        put_i64(&mut body, row.received_ms.wrapping_sub(received));
        put_i64(&mut body, row.claimed_ms.wrapping_sub(row.ts_ms));
        (ts, received) = (row.ts_ms, row.received_ms);
        put_u64(&mut body, texts.code(&row.event));
        if row.session != 0 {
            body.extend_from_slice(&row.session.to_be_bytes());
        }
        match &last_dims {
            Some((dims, bytes)) if Arc::ptr_eq(dims, &row.dims) => {
                body.extend_from_within(bytes.clone());
            }
            _ => {
                let start = body.len();
                put_dims(&mut body, &mut texts, &row.dims);
                last_dims = Some((&row.dims, start..body.len()));
            }
        }
        put_text(&mut body, &row.props);
    }
    let mut out = Vec::with_capacity(body.len() + 1024);
    out.push(ROWS_VERSION);
    put_u64(&mut out, texts.list.len() as u64);
    for text in &texts.list {
        put_text(&mut out, text);
    }
    out.extend_from_slice(&body);
    out
}

fn put_dims<'a>(body: &mut Vec<u8>, texts: &mut Texts<'a>, dims: &'a Dims) {
    let present = dims.iter().enumerate().filter(|(_, dim)| dim.is_some());
    put_u64(body, present.fold(0, |bits, (i, _)| bits | 1 << i));
    for text in dims.iter().flatten() {
        put_u64(body, texts.code(text));
    }
}

/// Decode an Events payload.
pub(crate) fn decode_rows(payload: &[u8]) -> Result<Vec<Row>, PayloadError> {
    let reader = open(payload, ROWS_VERSION)?;
    read_rows(reader).ok_or(PayloadError::Malformed)
}

fn read_rows(mut reader: Reader<'_>) -> Option<Vec<Row>> {
    let text_count = reader.count()?;
    let texts = (0..text_count).map(|_| reader.text()).collect::<Option<Vec<_>>>()?;
    let text = |code: u64| texts.get(usize::try_from(code).ok()?).copied();
    let mut names: Vec<Option<Arc<str>>> = vec![None; text_count];
    let mut last_dims: (DimCodes, Arc<Dims>) = Default::default();
    let row_count = reader.count()?;
    let (mut ts, mut received) = (0i64, 0i64);
    let mut rows = Vec::with_capacity(row_count);
    for _ in 0..row_count {
        let head = reader.u8()?;
        let flags = reader.u8()?;
        let project = reader.u32()?;
        let person = u64::from_le_bytes(reader.array()?);
        let actor = match head & ACTOR_IS_PERSON {
            0 => u64::from_le_bytes(reader.array()?),
            _ => person,
        };
        ts = ts.wrapping_add(reader.i64()?);
        let seq = reader.u32()?;
        let writer = match head & HAS_WRITER {
            0 => 0,
            _ => u64::from_le_bytes(reader.array()?),
        };
        let event_id = u128::from_be_bytes(reader.array()?);
        received = received.wrapping_add(reader.i64()?);
        let claimed_ms = ts.wrapping_add(reader.i64()?);
        let name = usize::try_from(reader.u64()?).ok()?;
        let name_text = *texts.get(name)?;
        let event = Arc::clone(names[name].get_or_insert_with(|| name_text.into()));
        let session = match head & HAS_SESSION {
            0 => 0,
            _ => u128::from_be_bytes(reader.array()?),
        };
        let present = reader.u64()?;
        if present >> Dim::ALL.len() != 0 {
            return None;
        }
        let mut codes = DimCodes::default();
        for (i, code) in codes.iter_mut().enumerate() {
            if present >> i & 1 == 1 {
                *code = Some(reader.u64()?);
            }
        }
        if codes != last_dims.0 {
            let mut dims = Dims::default();
            for (dim, code) in dims.iter_mut().zip(codes) {
                *dim = code.map(|code| text(code).ok_or(())).transpose().ok()?.map(Into::into);
            }
            last_dims = (codes, Arc::new(dims));
        }
        let props = reader.text()?.into();
        rows.push(Row {
            project,
            person,
            actor,
            ts_ms: ts,
            seq,
            writer,
            event_id,
            received_ms: received,
            claimed_ms,
            flags,
            event,
            session,
            dims: Arc::clone(&last_dims.1),
            props,
        });
    }
    reader.is_at_end().then_some(rows)
}

/// Encode refused rows as a Bad payload.
pub(crate) fn encode_refused(rows: &[RefusedRow]) -> Vec<u8> {
    let mut out = vec![PAYLOAD_VERSION];
    put_u64(&mut out, rows.len() as u64);
    for row in rows {
        put_u64(&mut out, u64::from(row.project));
        put_i64(&mut out, row.received_ms);
        put_text(&mut out, &row.code);
        put_text(&mut out, &row.raw);
    }
    out
}

/// Decode a Bad payload.
pub(crate) fn decode_refused(payload: &[u8]) -> Result<Vec<RefusedRow>, PayloadError> {
    let reader = open(payload, PAYLOAD_VERSION)?;
    read_refused(reader).ok_or(PayloadError::Malformed)
}

fn read_refused(mut reader: Reader<'_>) -> Option<Vec<RefusedRow>> {
    let count = reader.count()?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push(RefusedRow {
            project: reader.u32()?,
            received_ms: reader.i64()?,
            code: reader.text()?.to_owned(),
            raw: reader.text()?.into(),
        });
    }
    reader.is_at_end().then_some(rows)
}

const ALIAS: u8 = 1;
const UNDO: u8 = 2;
const ERASE: u8 = 3;

/// Encode a command as a Link or Erase payload.
pub(crate) fn encode_command(command: &PeopleCommand) -> Vec<u8> {
    let mut out = vec![PAYLOAD_VERSION];
    let mut head = |what, project: u32, at_ms| {
        out.push(what);
        put_u64(&mut out, u64::from(project));
        put_i64(&mut out, at_ms);
    };
    match *command {
        PeopleCommand::Alias { project, ends, at_ms } => {
            head(ALIAS, project, at_ms);
            out.extend_from_slice(&ends.source.to_le_bytes());
            out.extend_from_slice(&ends.target.to_le_bytes());
        }
        PeopleCommand::Undo { project, link, at_ms } => {
            head(UNDO, project, at_ms);
            out.extend_from_slice(&link.to_le_bytes());
        }
        PeopleCommand::Erase { project, id, at_ms } => {
            head(ERASE, project, at_ms);
            out.extend_from_slice(&id.to_le_bytes());
        }
    }
    out
}

/// Decode a Link or Erase payload.
pub(crate) fn decode_command(payload: &[u8]) -> Result<PeopleCommand, PayloadError> {
    let reader = open(payload, PAYLOAD_VERSION)?;
    read_command(reader).ok_or(PayloadError::Malformed)
}

fn read_command(mut reader: Reader<'_>) -> Option<PeopleCommand> {
    let what = reader.u8()?;
    let project = reader.u32()?;
    let at_ms = reader.i64()?;
    let mut id = || reader.array().map(u64::from_le_bytes);
    let command = match what {
        ALIAS => {
            PeopleCommand::Alias { project, ends: Ends { source: id()?, target: id()? }, at_ms }
        }
        UNDO => PeopleCommand::Undo { project, link: id()?, at_ms },
        ERASE => PeopleCommand::Erase { project, id: id()?, at_ms },
        _ => return None,
    };
    reader.is_at_end().then_some(command)
}

fn open(payload: &[u8], newest: u8) -> Result<Reader<'_>, PayloadError> {
    let mut reader = Reader::new(payload);
    match reader.u8() {
        None | Some(0) => Err(PayloadError::Malformed),
        Some(version) if version > newest => Err(PayloadError::Newer(version)),
        Some(_) => Ok(reader),
    }
}

/// Places of a row's dimensions in the table of texts.
type DimCodes = [Option<u64>; Dim::ALL.len()];

/// The texts of one payload, each once.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    codes: HashMap<&'a str, u64>,
}

impl<'a> Texts<'a> {
    fn code(&mut self, text: &'a str) -> u64 {
        let Self { list, codes } = self;
        *codes.entry(text).or_insert_with(|| {
            list.push(text);
            list.len() as u64 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_row;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_rows_undoes_encoding(rows in prop::collection::vec(any_row(), 0..20)) {
            prop_assert_eq!(decode_rows(&encode_rows(&rows)), Ok(rows));
        }

        /// As they come from one batch: with the same dimensions, not only equal ones.
        #[test]
        fn rows_that_share_their_dimensions_survive(
            rows in prop::collection::vec(any_row(), 1..6),
            like in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut all = rows.clone();
            for like in like {
                let mut row = like.get(&rows).clone();
                row.seq = row.seq.wrapping_add(1);
                all.push(row);
            }
            prop_assert_eq!(decode_rows(&encode_rows(&all)), Ok(all));
        }

        #[test]
        fn cut_or_changed_payloads_never_panic(
            rows in prop::collection::vec(any_row(), 1..4),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut payload = encode_rows(&rows);
            let at = at.index(payload.len());
            prop_assert!(decode_rows(&payload[..at]).is_err());
            payload[at] = byte;
            let _ = decode_rows(&payload);
        }
    }

    #[test]
    fn decoding_refused_rows_undoes_encoding() {
        let rows = vec![
            RefusedRow {
                project: 7,
                received_ms: -1,
                code: "at_invalid".into(),
                raw: r#"{"e":"é"}"#.into(),
            },
            RefusedRow {
                project: u32::MAX,
                received_ms: i64::MAX,
                code: "".into(),
                raw: "".into(),
            },
        ];
        assert_eq!(decode_refused(&encode_refused(&rows)), Ok(rows));
    }

    #[test]
    fn decoding_a_command_undoes_encoding() {
        let (project, at_ms) = (u32::MAX, -5);
        let ends = Ends { source: u64::MAX, target: 1 };
        for command in [
            PeopleCommand::Alias { project, ends, at_ms },
            PeopleCommand::Undo { project, link: 7, at_ms },
            PeopleCommand::Erase { project, id: u64::MAX, at_ms },
        ] {
            let payload = encode_command(&command);
            assert_eq!(decode_command(&payload), Ok(command));
            for cut in 0..payload.len() {
                assert!(decode_command(&payload[..cut]).is_err());
            }
        }
    }

    #[test]
    fn a_payload_of_a_later_version_is_named_as_such() {
        let mut payload = encode_rows(&[]);
        payload[0] = ROWS_VERSION + 1;
        assert_eq!(decode_rows(&payload), Err(PayloadError::Newer(ROWS_VERSION + 1)));
    }
}
