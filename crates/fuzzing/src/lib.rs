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
mod program;
mod weight_files;

pub use damage::Damage;
pub use differential::differential;
pub use files::{cifar10, idx_gz, image};
pub use program::{config_toml, image_predict};
pub use weight_files::{npy_npz, safetensors_load};

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
pub const TARGETS: [Target; 8] = [
    Target { name: "idx_gz", run: idx_gz, quick: 4000 },
    Target { name: "cifar10", run: cifar10, quick: 1500 },
    Target { name: "image", run: image, quick: 1500 },
    Target { name: "npy_npz", run: npy_npz, quick: 4000 },
    Target { name: "safetensors_load", run: safetensors_load, quick: 4000 },
    Target { name: "config_toml", run: config_toml, quick: 1000 },
    Target { name: "image_predict", run: image_predict, quick: 1000 },
    Target { name: "differential", run: differential, quick: 250 },
];
