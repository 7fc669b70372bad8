//! The `ringwell` binary.
fn main() {}
