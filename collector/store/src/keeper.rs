//! The keeper thread: flushes memtables to segments (interim: only answers).
use std::sync::Arc;
use std::time::Duration;

use crate::open::Folders;
use crate::shared::Shared;

pub(crate) struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, _: Folders, _: u64) -> Self {
        Self { shared }
    }

    pub(crate) fn run(self) {
        let mut live = self.shared.live();
        while !live.closing {
            live.flush_finished = live.flush_wanted;
            self.shared.signal();
            live = self.shared.wait(live, Duration::from_secs(1));
        }
    }
}
