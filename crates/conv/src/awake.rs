//! Threads that stay awake between small calls.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Whether this thread runs something under [`awake`].
    static AWAKE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, a row of calls, while another thread of the current `rayon` pool waits for pieces of them without
/// falling asleep.
///
/// A thread that has found nothing to do for some microseconds sleeps, and to wake it takes longer than a
/// small layer of one image. Under `awake` such layers are shared out too. Where the pool has one thread, where
/// the calling thread is none of the pool, and within another `awake`, this is `f()`.
///
/// Nothing that is computed depends on it. Nothing is allocated.
pub fn awake<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    let in_pool = rayon::current_thread_index().is_some();
    if !in_pool || rayon::current_num_threads() < 2 || is_awake() {
        return f();
    }
    let ended = AtomicBool::new(false);
    let leader = || {
        let _end = End { ended: &ended };
        AWAKE.set(true);
        f()
    };
    rayon::join(leader, || wait(&ended)).0
}

/// Whether another thread is awake to help this one.
pub(crate) fn is_awake() -> bool {
    AWAKE.get()
}

/// Ends what [`awake`] began, also if `f` panics.
struct End<'a> {
    ended: &'a AtomicBool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        AWAKE.set(false);
        self.ended.store(true, Ordering::Release);
    }
}

/// Takes whatever pieces of work there are in the pool, until the end.
fn wait(ended: &AtomicBool) {
    /// Looks for work between two offers of the core to other processes.
    const LOOKS: u32 = 64;
    let mut idle = 0;
    while !ended.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle % LOOKS == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
