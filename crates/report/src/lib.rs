//! What people look at: for now the table of a network.

#![forbid(unsafe_code)]

mod summary;

pub use summary::summary_table;
