//! Memtable to segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Keeper;
use super::ordered::Cursor;
use super::rewrite::{Dropped, Rewrite, expired_usage};
use super::write::Output;
use crate::TRACE;
use crate::catalog::{CatalogChange, SegmentMeta};
use crate::error::FlushError;
use crate::memtable::{MemRun, MemView};
use crate::schema::SchemaCounter;
use crate::segment::{io_error, promote};
use crate::shared::Frozen;
use crate::wal::SealedFile;
use crate::week;

impl Keeper {
    /// Write what is in memory to segments. Nothing to do is fine.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let Some(frozen) = self.freeze() else { return Ok(()) };
        let rows = frozen.rows.rows();
        let _span = tracing::info_span!(target: TRACE, "flush", flush.rows = rows).entered();
        let schema = schema(&frozen.rows);
        let mut add = Vec::new();
        let rewrite = Rewrite::new(Arc::clone(&frozen.apart), &self.shared.options);
        if let Err(error) = self.write_weeks(&frozen, &schema, &rewrite, &mut add) {
            self.remove_files(&add);
            return Err(error);
        }
        let Dropped { erased, expired } = rewrite.into_dropped();
        let mut usage = frozen.usage.deltas();
        usage.extend(expired_usage(&expired, (self.shared.options.now_ms)()));
        let change = CatalogChange {
            add,
            remove: Vec::new(),
            flushed_seq: frozen.seq,
            refused: frozen.refused.clone(),
            schema: schema.deltas(),
            usage,
            restated: frozen.rows.restated.iter().copied().collect(),
            people: frozen.people.clone(),
            link_epochs: Vec::new(),
        };
        let mut gone = Vec::new();
        self.commit_without(change, &[], &erased, |live| {
            live.frozen = None;
            live.flush_failing = None;
            live.settled = (Arc::clone(&frozen.apart), frozen.seq);
            gone = remove_flushed(&mut live.wal_files, frozen.seq);
        })?;
        self.count(|counters| &counters.flushes);
        self.count_expired(expired.values().sum());
        self.shared.signal();
        // Oldest first: a crash in between never leaves a gap.
        let (wal, disk) = (&self.folders.wal, &self.folders.disk);
        for file in &gone {
            disk.remove(&file.path).map_err(io_error(&file.path))?;
            disk.reached("flush: log file removed");
        }
        if !gone.is_empty() {
            disk.sync_dir(wal).map_err(io_error(wal))?;
        }
        Ok(())
    }

    /// Take the active memtable away, unless one is waiting from a flush that failed.
    fn freeze(&self) -> Option<Arc<Frozen>> {
        let mut live = self.shared.live();
        if let Some(frozen) = &live.frozen {
            return Some(Arc::clone(frozen));
        }
        if live.active.is_empty() && !live.people.has_news() {
            return None;
        }
        let mut active = std::mem::take(&mut live.active);
        live.active_since = None;
        live.generation += 1;
        live.want_roll = true;
        let seq = live.applied_seq;
        let refused = active.refused().to_vec();
        let mut rows = active.view();
        let frozen = Frozen {
            rows: rows.clone(),
            refused,
            seq,
            people: live.people.take_delta(),
            epoch: live.active_epoch,
            apart: live.people.apart(),
            usage: Arc::new(active.take_usage()),
        };
        live.active_epoch = seq;
        let frozen = Arc::new(frozen);
        live.frozen = Some(Arc::clone(&frozen));
        drop(live);

        // Sort the tail outside the lock, then show the sorted form to questions.
        if let Some(tail) = rows.sorted_tail() {
            rows = MemView { tail: Vec::new(), sorted: None, ..rows };
            rows.runs.push(tail);
        }
        let frozen = Arc::new(Frozen {
            rows,
            refused: frozen.refused.clone(),
            people: frozen.people.clone(),
            apart: Arc::clone(&frozen.apart),
            usage: Arc::clone(&frozen.usage),
            ..*frozen
        });
        self.shared.live().frozen = Some(Arc::clone(&frozen));
        Some(frozen)
    }

    /// One segment per ISO week.
    fn write_weeks(
        &self,
        frozen: &Frozen,
        schema: &SchemaCounter,
        rewrite: &Rewrite,
        add: &mut Vec<SegmentMeta>,
    ) -> Result<(), FlushError> {
        let runs = &frozen.rows.runs;
        let mut weeks: BTreeMap<i64, Vec<Vec<u32>>> = BTreeMap::new();
        for (i, run) in runs.iter().enumerate() {
            for row in 0..run.len() {
                let week = week::number(run.ts_ms(row));
                let rows = weeks.entry(week).or_insert_with(|| vec![Vec::new(); runs.len()]);
                rows[i].push(row as u32);
            }
        }
        let counts = schema.property_counts();
        let counts = counts
            .iter()
            .map(|(key, types)| (&**key, [types.texts, types.numbers, types.bools, types.others]));
        let promoted = promote(counts, frozen.rows.rows() as u64);
        for rows in weeks.into_values() {
            let first = runs
                .iter()
                .zip(&rows)
                .find_map(|(run, rows)| rows.first().map(|&row| run.ts_ms(row as usize)));
            let name = week::name(first.unwrap_or_default());
            let of_week: Vec<_> =
                runs.iter().zip(rows).filter(|(_, rows)| !rows.is_empty()).collect();
            let mut aside = self.rows_aside(rewrite, &promoted);
            for (run, rows) in &of_week {
                let rows = rewrite.concerned(run, rows);
                if !rows.is_empty() {
                    aside.take(&run.columns(&rows, &run.dictionaries()))?;
                }
            }
            let aside = aside.finish();
            let in_place = of_week.into_iter().map(|(run, rows)| Cursor::of_run(run, rows));
            let output = Output {
                week: &name,
                level: 0,
                promoted: promoted.clone(),
                has_ids: true,
                link_epoch: frozen.seq,
                watch: None,
                encoders: 0,
            };
            let cursors = in_place.chain(aside).collect();
            add.extend(self.write_segment(output, cursors, rewrite, &|| Ok(()))?);
        }
        Ok(())
    }

    /// Files of a flush that did not come to its end.
    fn remove_files(&self, metas: &[SegmentMeta]) {
        for meta in metas {
            let _ = self.folders.disk.remove(&self.folders.data.join(meta.path()));
        }
    }
}

fn schema(rows: &MemView) -> SchemaCounter {
    let mut counter = SchemaCounter::default();
    rows.runs.iter().for_each(|run: &Arc<MemRun>| counter.merge(run.schema()));
    counter
}

/// Take the log files out that hold nothing after `seq`, oldest first.
fn remove_flushed(files: &mut Vec<SealedFile>, seq: u64) -> Vec<SealedFile> {
    let count = files.iter().take_while(|file| file.last_seq <= seq).count();
    files.drain(..count).collect()
}
