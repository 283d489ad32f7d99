//! Which threads go first when there are more than processors.
//!
//! Whoever waits for an answer waits for the threads of requests and for the writer. Sorting, flushing and merging are
//! for later, so their threads give way.

/// How much the thread that merges lets others go first, from 0 to 19: at 10 it gets a tenth of a
/// processor that somebody else wants. It takes one for minutes. What has become urgent gives way to nobody (`keeper::urgent`).
pub(crate) const MERGE_NICE: i32 = 10;

/// The same of the threads that sort and flush: at 3 half a processor's share. Enough for as much as is taken on two
/// processors; with less, memory would be full before it is empty again, and everybody would wait for that.
pub(crate) const FLUSH_NICE: i32 = 3;

/// Let every other thread go before this one, so much.
pub(crate) fn let_others_go_first(nice: i32) {
    // Only on Linux this is the priority of a thread; elsewhere the whole process would go last.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::setpriority_process(None, nice)
    {
        tracing::warn!(%error, "a thread cannot be made to give way; answers may take longer");
    }
}
