//! Events for the questions: Parquet, one file a day, in the order of arrival.
//!
//! usage: `generate FOLDER EVENTS [DAYS] [SEED]`; the first day is 2026-09-01. One person per hundred
//! events, most with few and some with very many; events, pages, countries, devices and sources in
//! the shares of `draw`; a session is what one person does in one half hour of the clock.
//!
//! Days are made beside each other, each from its own random numbers and a few rows at a time: the
//! same arguments give the same rows on any number of threads, in memory that does not grow with
//! them. A folder is done when it has `done.json`, which holds the arguments.
//!
//! Not here: people (`people`), what they do (`draw`).

mod draw;
mod people;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail, ensure};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use draw::{CONTENT, Draw, EXPOSURE, PURCHASE};
use people::People;

/// 2026-09-01T00:00:00Z.
const FROM_MS: i64 = 1_788_220_800_000;
const DAY_MS: i64 = 86_400_000;
/// The clock's half hours are the sessions.
const SESSION_MS: i64 = 1_800_000;
/// Rows made at a time.
const BATCH: u64 = 1 << 17;
const ROW_GROUP: usize = 1 << 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, events, rest @ ..] = arguments.as_slice() else {
        bail!("usage: generate FOLDER EVENTS [DAYS] [SEED]");
    };
    let folder = Path::new(folder);
    let events: u64 = events.parse().context("EVENTS is a whole number")?;
    let number = |at: usize, default: u64| {
        rest.get(at).map_or(Ok(default), |text| text.parse::<u64>().context("a whole number"))
    };
    let (days, seed) = (number(0, 30)?, number(1, 7)?);
    let most = days * (DAY_MS as u64 / 2);
    ensure!(
        days > 0 && (days..=most).contains(&events),
        "{days} days take {days} to {most} events"
    );
    std::fs::create_dir_all(folder)?;

    let people = People::new(events, days, &mut StdRng::seed_from_u64(seed));
    let draw = Draw::new();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let day = next.fetch_add(1, Ordering::Relaxed);
                if day >= days {
                    return anyhow::Ok(());
                }
                let rows = events * (day + 1) / days - events * day / days;
                let random = StdRng::seed_from_u64(seed ^ (day + 1) << 32);
                write_day(folder, day, rows, &people, &draw, random)?;
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut ends =
            workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
        ends.try_for_each(|end| end)
    })?;
    let done = serde_json::json!({ "events": events, "days": days, "seed": seed });
    std::fs::write(folder.join("done.json"), done.to_string())?;
    Ok(())
}

fn write_day(
    folder: &Path,
    day: u64,
    rows: u64,
    people: &People,
    draw: &Draw,
    mut random: StdRng,
) -> anyhow::Result<()> {
    let schema = schema();
    let mut settings = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP));
    for (column, encoding) in [
        ("at", Encoding::DELTA_BINARY_PACKED),
        ("user", Encoding::PLAIN),
        ("session", Encoding::PLAIN),
    ] {
        settings = settings
            .set_column_dictionary_enabled(column.into(), false)
            .set_column_encoding(column.into(), encoding);
    }
    let file = File::create(folder.join(format!("day-{day:03}.parquet")))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(settings.build()))?;
    let begin = FROM_MS + day as i64 * DAY_MS;
    let (mut done, mut last_ms) = (0, begin - 1);
    while done < rows {
        let some = BATCH.min(rows - done);
        // Time runs evenly through the day, with some jitter inside a batch.
        let at = |row: u64| begin + (row as f64 / rows as f64 * DAY_MS as f64) as i64;
        let mut times: Vec<_> =
            (0..some).map(|_| random.random_range(at(done)..at(done + some))).collect();
        times.sort_unstable();
        // No two events in one millisecond, where every engine might order them its own way.
        for time in &mut times {
            last_ms = (*time).max(last_ms + 1);
            *time = last_ms;
        }
        writer.write(&batch(&schema, times, day, people, draw, &mut random)?)?;
        done += some;
    }
    writer.close()?;
    Ok(())
}

fn schema() -> Arc<Schema> {
    let text = || DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("name", text(), false),
        Field::new("user", DataType::Int64, false),
        Field::new("session", DataType::Int64, false),
        Field::new("path", text(), false),
        Field::new("country", text(), false),
        Field::new("device_type", text(), false),
        Field::new("source", text(), true),
        Field::new("experiment", text(), true),
        Field::new("variant", text(), true),
        Field::new("revenue", DataType::Float64, true),
        Field::new("content_id", text(), true),
        Field::new("engaged_ms", DataType::Float64, true),
        Field::new("completion", DataType::Float64, true),
        Field::new("display_mode", text(), false),
    ]))
}

fn batch(
    schema: &Arc<Schema>,
    times: Vec<i64>,
    day: u64,
    people: &People,
    draw: &Draw,
    random: &mut StdRng,
) -> anyhow::Result<RecordBatch> {
    let users: Vec<_> = times.iter().map(|_| people.pick(day, random)).collect();
    let names: Vec<_> = times.iter().map(|_| draw.name(random)).collect();
    let revenue: Float64Array =
        names.iter().map(|name| (*name == PURCHASE).then(|| draw.revenue(random))).collect();
    let sessions = users
        .iter()
        .zip(&times)
        .map(|(user, at)| people.id(*user) ^ (at / SESSION_MS).wrapping_mul(2_654_435_761));
    let sessions = Int64Array::from_iter_values(sessions);
    let paths: Int32Array = names.iter().map(|name| Some(draw.path(*name, random))).collect();
    let sources: Int32Array = names.iter().map(|_| draw.source(random)).collect();
    let experiments: Int32Array =
        names.iter().map(|name| (*name == EXPOSURE).then_some(0)).collect();
    let variants: Int32Array =
        names.iter().zip(&users).map(|(name, user)| people.variant(*user, *name)).collect();
    let contents: Int32Array =
        names.iter().map(|name| (*name == CONTENT).then(|| draw.content(random))).collect();
    let engaged_ms: Float64Array =
        names.iter().map(|name| (*name == CONTENT).then(|| draw.engaged_ms(random))).collect();
    let completion: Float64Array =
        names.iter().map(|name| (*name == CONTENT).then(|| draw.completion(random))).collect();
    let of_user = |code: &dyn Fn(usize) -> i32| -> Int32Array {
        users.iter().map(|user| Some(code(*user))).collect()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from(times)),
        coded(names.iter().map(|name| Some(*name as i32)).collect(), &draw.names)?,
        Arc::new(Int64Array::from_iter_values(users.iter().map(|user| people.id(*user)))),
        Arc::new(sessions),
        coded(paths, &draw.paths)?,
        coded(of_user(&|user| people.country(user)), &draw.countries)?,
        coded(of_user(&|user| people.device(user)), &draw.devices)?,
        coded(sources, &draw.sources)?,
        coded(experiments, &draw.experiments)?,
        coded(variants, &draw.variants)?,
        Arc::new(revenue),
        coded(contents, &draw.contents)?,
        Arc::new(engaged_ms),
        Arc::new(completion),
        coded(of_user(&|user| people.mode(user)), &draw.modes)?,
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn coded(codes: Int32Array, texts: &Arc<StringArray>) -> anyhow::Result<ArrayRef> {
    let texts: Arc<dyn Array> = Arc::clone(texts) as _;
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(codes, texts)?))
}
