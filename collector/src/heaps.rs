//! How many heaps the allocator keeps.
//!
//! glibc gives threads heaps of their own, up to eight for each core, and each keeps what its largest question or merge
//! took: what threads ask for in turns is then held several times. With one heap for each core what one question
//! gave back is what the next one takes, and a core seldom waits for another's. Who sets `MALLOC_ARENA_MAX`
//! or `GLIBC_TUNABLES` decides instead.

/// Before the first thread is started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a function of C that takes two numbers, and has no form in Rust")]
pub fn limit() {
    let is_set = |name| std::env::var_os(name).is_some();
    if is_set("MALLOC_ARENA_MAX") || is_set("GLIBC_TUNABLES") {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // SAFETY: no memory passes. It may be called at any time; heaps that exist already stay.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, cores as libc::c_int) };
}

/// Other allocators do not divide memory by threads.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn limit() {}
