//! How many floating-point operations a second the machine can do at most: fused multiply-adds
//! on registers alone, on every thread at once.

use std::time::{Duration, Instant};

use conv::{KernelSet, fma_burst};

/// The FMA peak of the threads that it was measured on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Of all threads together, two operations for each multiply-add: 1e9 a second.
    pub gflops: f64,
    /// The instructions that reach it.
    pub instructions: &'static str,
}

/// How long one burst lasts, and how many there are: the best counts, since whatever else the
/// machine does can only make a burst slower.
const BURST: Duration = Duration::from_millis(60);
const BURSTS: usize = 5;

/// Rounds between two looks at the clock: some tens of microseconds.
const ROUNDS: usize = 20_000;

/// Measures the peak of the current thread pool, with the instructions of a set: an AVX2 kernel
/// can't reach what AVX-512 does.
#[must_use]
pub fn measure(set: KernelSet) -> Peak {
    let best = (0..BURSTS).map(|_| rate_of_all(set)).fold(0.0, f64::max);
    Peak { gflops: best / 1e9, instructions: fma_burst(set, 1).instructions }
}

/// Operations a second of all threads together.
fn rate_of_all(set: KernelSet) -> f64 {
    rayon::broadcast(|_| rate(set)).into_iter().sum()
}

/// Operations a second of this thread.
fn rate(set: KernelSet) -> f64 {
    let (start, mut operations) = (Instant::now(), 0.0);
    loop {
        operations += fma_burst(set, ROUNDS).operations;
        let elapsed = start.elapsed();
        if elapsed >= BURST {
            return operations / elapsed.as_secs_f64();
        }
    }
}
