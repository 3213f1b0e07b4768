//! The example runs, and what it asserts holds.

#[path = "../examples/algorithms.rs"]
mod algorithms;

#[test]
fn algorithms() {
    algorithms::main().unwrap();
}
