//! The example runs, and what it asserts holds.

#[path = "../examples/product.rs"]
mod product;

#[test]
fn product() {
    product::main().unwrap();
}
