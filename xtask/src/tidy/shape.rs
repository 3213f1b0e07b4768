//! The shape of a file: its length, the ends of its lines, its last line.

use std::path::Path;

use super::{Finding, Source};

/// Lines that a Rust file may have.
const MAX_LINES: usize = 500;

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let extension = Path::new(&source.path).extension().and_then(|extension| extension.to_str());
    let mut findings = Vec::new();
    let length = source.text.lines().count();
    if extension == Some("rs") && length > MAX_LINES {
        let message = format!("has {length} lines, at most {MAX_LINES} may be: split it");
        findings.push(Finding::new(&source.path, MAX_LINES + 1, message));
    }
    if !matches!(extension, Some("rs" | "md" | "toml")) {
        return findings;
    }
    for (index, line) in source.text.split('\n').enumerate() {
        if line.ends_with('\r') {
            findings.push(Finding::new(&source.path, index + 1, "ends in a carriage return"));
        } else if line.ends_with(char::is_whitespace) {
            findings.push(Finding::new(&source.path, index + 1, "white space ends the line"));
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        findings.push(Finding::new(&source.path, length, "the last line has no line break"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{lines, source};

    #[test]
    fn rust_files_are_short() {
        let found = |path: &str, count: usize| lines(&check(&source(path, &"x\n".repeat(count))));
        assert!(found("a.rs", 500).is_empty());
        assert_eq!(found("a.rs", 501), [501]);
        assert!(found("a.md", 501).is_empty());
    }

    #[test]
    fn lines_end_cleanly() {
        let found = |path: &str, text: &str| lines(&check(&source(path, text)));
        assert!(found("a.rs", "one\n\ntwo\n").is_empty());
        assert!(found("a.rs", "").is_empty());
        assert_eq!(found("a.rs", "one \n\t\ntwo\r\n"), [1, 2, 3]);
        assert_eq!(found("a.md", "one\ntwo"), [2]);
        assert_eq!(found("a.toml", "one\ntwo "), [2, 2]);
        assert!(found("a.txt", "one \ntwo").is_empty());
    }
}
