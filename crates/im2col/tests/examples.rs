//! The example runs, and what it asserts holds.

#[path = "../examples/unfold.rs"]
mod unfold;

#[test]
fn unfold() {
    unfold::main().unwrap();
}
