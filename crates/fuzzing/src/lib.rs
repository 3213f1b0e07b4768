//! What may never panic, whatever bytes it is given, as functions of bytes.
//!
//! The programs in `fuzz/` hand them what cargo-fuzz invents; the test `tests/damaged.rs` hands them the
//! seeds of `fuzz/corpus`, damaged by [`Damage`], the same in every run.
//!
//! Not published.

#![forbid(unsafe_code)]

mod damage;
mod differential;
mod files;

pub use damage::Damage;
pub use differential::differential;
pub use files::{cifar10, idx_gz, image};

/// A function of bytes that returns, whatever they are.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also that of its program in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics only if there is a mistake in what it tries.
    pub run: fn(&[u8]),
    /// How many damaged inputs a test has the time for.
    pub quick: u32,
}

/// All of them.
pub const TARGETS: [Target; 4] = [
    Target { name: "idx_gz", run: idx_gz, quick: 4000 },
    Target { name: "cifar10", run: cifar10, quick: 1500 },
    Target { name: "image", run: image, quick: 1500 },
    Target { name: "differential", run: differential, quick: 250 },
];
