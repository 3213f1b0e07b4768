//! The examples that take no minutes run, and what they assert holds.

#[path = "../examples/load_pytorch.rs"]
mod load_pytorch;
#[path = "../examples/own_net.rs"]
mod own_net;

#[test]
fn load_pytorch() {
    load_pytorch::main().unwrap();
}

#[test]
fn own_net() {
    own_net::main().unwrap();
}
