//! Events for the questions: one Parquet file, in the order of arrival.
//!
//! usage: `generate FILE EVENTS DAYS [SEED]`. One person per hundred events, most of them with few
//! and some with very many (a heavy tail); the first day is 2026-09-01.

use std::fs::File;
use std::sync::Arc;

use anyhow::bail;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// 2026-09-01T00:00:00Z.
const FROM_MS: i64 = 1_788_220_800_000;
const DAY_MS: i64 = 86_400_000;
const BATCH: u64 = 1 << 18;
/// Names with their share in a thousand.
const NAMES: [(&str, u32); 12] = [
    ("page_viewed", 420),
    ("content_read", 130),
    ("clicked", 130),
    ("scrolled", 90),
    ("session_started", 70),
    ("searched", 50),
    ("added_to_cart", 40),
    ("checkout_started", 20),
    ("purchased", 12),
    ("signed_up", 10),
    ("shared", 18),
    ("installed", 10),
];
const PLANS: [&str; 4] = ["free", "team", "business", "trial"];
const DEVICES: [&str; 3] = ["phone", "desktop", "tablet"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, events, days, rest @ ..] = arguments.as_slice() else {
        bail!("usage: generate FILE EVENTS DAYS [SEED]");
    };
    let (events, days): (u64, i64) = (events.parse()?, days.parse()?);
    let seed = rest.first().map_or(Ok(7), |text| text.parse())?;
    let mut random = StdRng::seed_from_u64(seed);
    let people = People::new((events / 100).max(1_000), &mut random);

    let schema = schema();
    let settings = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
    let mut writer =
        ArrowWriter::try_new(File::create(file)?, Arc::clone(&schema), Some(settings))?;
    let mut done = 0;
    while done < events {
        let rows = BATCH.min(events - done);
        // Time runs evenly from the first to the last day, with some jitter inside a batch.
        let begin = FROM_MS + (done as f64 / events as f64 * (days * DAY_MS) as f64) as i64;
        let end = FROM_MS + ((done + rows) as f64 / events as f64 * (days * DAY_MS) as f64) as i64;
        writer.write(&batch(&schema, rows, begin..end, &people, &mut random)?)?;
        done += rows;
    }
    writer.close()?;
    Ok(())
}

fn schema() -> Arc<Schema> {
    let text = || DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Int64, false),
        Field::new("name", text(), false),
        Field::new("user", DataType::Int64, false),
        Field::new("plan", text(), false),
        Field::new("gadget", text(), false),
        Field::new("value", DataType::Float64, true),
    ]))
}

fn batch(
    schema: &Arc<Schema>,
    rows: u64,
    range: std::ops::Range<i64>,
    people: &People,
    random: &mut StdRng,
) -> anyhow::Result<RecordBatch> {
    let mut times: Vec<_> = (0..rows).map(|_| random.random_range(range.clone())).collect();
    times.sort_unstable();
    let users: Vec<_> = times.iter().map(|_| people.pick(random)).collect();
    let names: Vec<_> = times.iter().map(|_| name(random)).collect();
    let values: Float64Array = names
        .iter()
        .map(|name| {
            (*name == "purchased").then(|| f64::from(random.random_range(100..20_000)) / 100.0)
        })
        .collect();
    let of_user = |list: &[&'static str]| -> ArrayRef {
        let pick = |user: &i64| list[(user.unsigned_abs() >> 7) as usize % list.len()];
        Arc::new(users.iter().map(pick).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(times)),
        Arc::new(names.iter().copied().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int64Array::from(users.clone())),
        of_user(&PLANS),
        of_user(&DEVICES),
        Arc::new(values),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn name(random: &mut impl Rng) -> &'static str {
    let mut at = random.random_range(0..1_000);
    for (name, share) in NAMES {
        if at < share {
            return name;
        }
        at -= share;
    }
    NAMES[0].0
}

/// Persons with how much each does, heavy-tailed: weight `1 / u^0.8` for a uniform `u`.
struct People {
    ids: Vec<i64>,
    reached: Vec<f64>,
}

impl People {
    fn new(count: u64, random: &mut StdRng) -> People {
        let mut sum = 0.0;
        let mut people = People { ids: Vec::new(), reached: Vec::new() };
        for _ in 0..count {
            sum += random.random_range(1e-4..1.0_f64).powf(-0.8);
            people.ids.push(random.random_range(1..i64::MAX));
            people.reached.push(sum);
        }
        people
    }

    fn pick(&self, random: &mut StdRng) -> i64 {
        let at = random.random_range(0.0..*self.reached.last().expect("there are persons"));
        self.ids[self.reached.partition_point(|reached| *reached <= at)]
    }
}
