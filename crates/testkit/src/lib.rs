//! What the tests of the workspace share: seeded random tensors, closeness checks that name the
//! worst element, and golden files made by other people's code.
//!
//! Not published.

#![forbid(unsafe_code)]

mod close;
mod golden;
mod random;

pub use close::{assert_close, dot, max_relative_error, relative_rms};
pub use golden::Golden;
pub use random::{shape, tensor, values};
