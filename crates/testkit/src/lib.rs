//! What the tests of the workspace share: seeded random tensors, closeness checks that name the
//! worst element, and golden files made by other people's code.
//!
//! Not published.

// `guarded.rs` alone has any: it asks the system for pages.
#![deny(unsafe_code)]

mod cases;
mod close;
mod golden;
#[cfg(unix)]
pub mod guarded;
mod random;

pub use cases::cases;
pub use close::{assert_close, dot, max_relative_error, relative_rms};
pub use golden::Golden;
pub use random::{shape, tensor, values};
