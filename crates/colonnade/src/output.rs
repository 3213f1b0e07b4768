//! Standard output: results, for people or for programs.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::files::failed;

/// Prints to standard output. That nobody reads on, as `head` does, is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(failed("write it", Path::new("standard output"), error))
        }
        _ => Ok(()),
    }
}

/// Prints a value on a line of its own.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}
