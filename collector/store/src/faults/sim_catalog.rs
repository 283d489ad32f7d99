//! A catalog for the proofs: in memory, failing and stopping together with the simulated disk.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::sim_disk::SimDisk;
use crate::catalog::{Catalog, CatalogChange, CatalogState, MemoryCatalog, RefusedRow, UsageDelta};
use crate::error::CatalogError;
use crate::schema::Schema;

/// A catalog that stops when the disk does. A change is durable when it is answered.
#[derive(Debug)]
pub(crate) struct SimCatalog {
    pub tables: MemoryCatalog,
    disk: Mutex<SimDisk>,
}

impl SimCatalog {
    /// An empty one beside this disk.
    pub(crate) fn new(disk: SimDisk) -> Self {
        Self { tables: MemoryCatalog::new(), disk: Mutex::new(disk) }
    }

    /// It goes on beside another disk.
    pub(crate) fn move_to(&self, disk: SimDisk) {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner) = disk;
    }

    fn disk(&self) -> SimDisk {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Catalog for SimCatalog {
    fn load(&self) -> Result<CatalogState, CatalogError> {
        match self.disk().is_stopped() {
            true => Err(CatalogError("the machine has stopped".into())),
            false => self.tables.load(),
        }
    }

    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError> {
        let (happens, answer) = self.disk().catalog_call();
        if happens {
            self.tables.commit(change)?;
        }
        answer.map_err(|error| CatalogError(error.to_string()))
    }

    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError> {
        self.tables.refused(project, limit)
    }

    fn schema(&self, project: u32) -> Result<Schema, CatalogError> {
        self.tables.schema(project)
    }

    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError> {
        self.tables.restated(project, days)
    }

    fn used(
        &self,
        project: Option<u32>,
        hours: Range<i64>,
    ) -> Result<Vec<UsageDelta>, CatalogError> {
        self.tables.used(project, hours)
    }
}
