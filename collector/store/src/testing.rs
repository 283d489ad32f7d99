//! Rows for tests, and folders for them.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tallymark_protocol::uuid7;

use crate::faults::SimDisk;
use crate::open::Folders;
use crate::row::{Dim, Row};

/// Empty folders on a disk in memory.
pub(crate) fn folders_in_memory() -> Folders {
    let folders = Folders::new(Path::new("/disk/data"), Arc::new(SimDisk::new()));
    folders.disk.create_dir(&folders.tmp).expect("nothing fails on an empty disk");
    folders
}

/// A JSON object with the awkward cases in: escapes, several types per key, nesting, spaces.
pub(crate) fn any_props() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["plan", "seats", "ok", "é", "a.b", "with \\\" quote", "x"]);
    let value = prop_oneof![
        "[a-c]{0,2}".prop_map(|text| format!("\"{text}\"")),
        Just("\"\\u00e9\\n\"".to_owned()),
        any::<i16>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| n.to_string()),
        Just("5.0".to_owned()),
        Just("1e3".to_owned()),
        Just("-0".to_owned()),
        Just("12345678901234567890".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("null".to_owned()),
        Just("{\"x\":[1, \"}\"]}".to_owned()),
    ];
    prop::collection::btree_map(key, value, 0..4).prop_map(|entries| {
        let entries: Vec<String> =
            entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", entries.join(","))
    })
}

prop_compose! {
    /// A row of a small world, so that persons, names and times meet again.
    pub(crate) fn any_row()(
        project in 1u32..3,
        person in prop_oneof![0u64..4, any::<u64>()],
        actor in prop_oneof![0u64..4, any::<u64>()],
        ts_ms in prop_oneof![1_700_000_000_000i64..1_700_000_000_010, -4_000_000_000_000i64..4_000_000_000_000],
        seq in prop_oneof![0u32..3, any::<u32>()],
        writer in prop_oneof![Just(0u64), 1u64..4, 1u64..1 << 53],
        (id_day, id_random, odd) in (0u64..40_000, any::<[u8; 10]>(), prop::bool::weighted(0.1)),
        received_ms in prop_oneof![Just(i64::MIN), Just(i64::MAX), 1_700_000_000_000i64..1_700_009_000_000],
        claimed_ms in prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()],
        flags: u8,
        event in prop::sample::select(vec!["view", "add", "buy", "$pageview", "größer"]),
        session in prop_oneof![Just(0u128), 1u128..3, any::<u128>()],
        dims in prop::collection::vec(prop::option::weighted(0.4, "[x-z/é]{0,3}"), Dim::ALL.len()),
        props in any_props(),
    ) -> Row {
        Row {
            project, person, actor, ts_ms, seq, writer,
            event_id: if odd { u128::from_be_bytes([id_random[0]; 16]) } else { uuid7::make(id_day * 86_400_000, id_random) },
            received_ms, claimed_ms, flags,
            event: event.into(),
            session,
            dims: Arc::new(std::array::from_fn(|dim| dims[dim].as_deref().map(Into::into))),
            props: props.into(),
        }
    }
}
