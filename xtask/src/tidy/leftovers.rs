//! What somebody left behind, and what a library may not do.

use super::code::{contains_word, is_word, lines_with_word};
use super::{Finding, Source};

/// Macros that nobody means to keep.
const MACROS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Libraries never print, never exit and never build the global thread pool: the program may.
const LIBRARIES: [&str; 8] =
    ["tensor4", "im2col", "gemm", "conv", "net", "dataset", "report", "weights"];
const PROGRAM_ONLY: [&str; 6] =
    ["println!", "print!", "eprintln!", "eprint!", "process::exit", "build_global"];

/// `code` is the source without comments and literals.
pub(super) fn check(source: &Source, code: &str) -> Vec<Finding> {
    let finding = |line: usize, message: String| Finding::new(&source.path, line, message);
    let mut findings = Vec::new();
    for name in MACROS {
        let message = format!("`{name}` is left over");
        findings.extend(macro_lines(code, name).map(|line| finding(line, message.clone())));
    }
    for (index, line) in code.lines().enumerate() {
        let ignored = line.contains("#[ignore") || line.contains("cfg_attr(");
        if ignored && contains_word(line, "ignore") {
            findings.push(finding(index + 1, "a test is ignored: run it or remove it".to_owned()));
        }
    }
    for (index, line) in source.text.lines().enumerate() {
        if is_ignored_doc_test(line) {
            let message = "a doc test is ignored: run it, or mark the block `text`".to_owned();
            findings.push(finding(index + 1, message));
        }
    }
    if is_library(&source.path) {
        for name in PROGRAM_ONLY {
            let message = format!("`{name}` in a library: only the program may");
            let lines: Vec<usize> = match name.strip_suffix('!') {
                Some(_) => macro_lines(code, name).collect(),
                None => lines_with_word(code, name).collect(),
            };
            findings.extend(lines.into_iter().map(|line| finding(line, message.clone())));
        }
    }
    findings
}

/// Lines on which the macro `name`, which ends in `!`, is called.
fn macro_lines(code: &str, name: &str) -> impl Iterator<Item = usize> {
    code.lines().enumerate().filter_map(move |(index, line)| {
        let called = line.match_indices(name).any(|(at, _)| {
            let starts_a_word = !line[..at].chars().next_back().is_some_and(is_word);
            // `todo!=x` is no macro.
            starts_a_word && !line[at + name.len()..].starts_with('=')
        });
        called.then_some(index + 1)
    })
}

fn is_ignored_doc_test(line: &str) -> bool {
    let line = line.trim_start();
    let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
        return false;
    };
    text.trim_start().strip_prefix("```").is_some_and(|info| contains_word(info, "ignore"))
}

fn is_library(path: &str) -> bool {
    LIBRARIES.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::code::only_code;
    use crate::tidy::testing::{lines, source};

    fn found(path: &str, text: &str) -> Vec<usize> {
        lines(&check(&source(path, text), &only_code(text)))
    }

    #[test]
    fn macros_left_over() {
        let text = "fn f() {\n    todo!()\n}\n// todo!\nlet x = dbg!(y);\nunimplemented!(\"z\")\n";
        assert_eq!(found("a.rs", text), [2, 6, 5]);
        assert!(found("a.rs", "if todo != x { my_dbg!(\"dbg!(x)\") }\nif todo!=x {}").is_empty());
    }

    #[test]
    fn ignored_tests() {
        assert_eq!(found("a.rs", "#[test]\n#[ignore]\nfn f() {}\n"), [2]);
        assert_eq!(found("a.rs", "#[ignore = \"slow\"]\n"), [1]);
        assert_eq!(found("a.rs", "#[cfg_attr(windows, ignore)]\n"), [1]);
        assert!(
            found("a.rs", "let ignore = 1; // #[ignore]\n#[cfg_attr(a, allow(b))]\n").is_empty()
        );
    }

    #[test]
    fn ignored_doc_tests() {
        assert_eq!(found("a.rs", "/// ```ignore\n/// x\n/// ```\n"), [1]);
        assert_eq!(found("a.rs", "    //! ```rust,ignore\n"), [1]);
        assert!(found("a.rs", "/// ```text\n/// ignore\n/// ```\n// ```ignore\n").is_empty());
    }

    #[test]
    fn libraries_are_silent() {
        let text = "println!(\"x\");\neprintln!();\nstd::process::exit(1);\nb.build_global();\n";
        assert_eq!(found("crates/net/src/trainer.rs", text), [1, 2, 3, 4]);
        assert!(found("crates/colonnade/src/main.rs", text).is_empty());
        assert!(found("crates/net/tests/a.rs", text).is_empty());
        assert!(found("crates/net/src/lib.rs", "/// println!(\"x\");\nfn f() {}\n").is_empty());
    }
}
