//! Where `unsafe` may stand.

use super::code::lines_with_word;
use super::{Finding, Source};

/// The calls into matrixmultiply and the micro-kernels of `gemm`, the kernels of `conv`, and the pages
/// between which tests put the operands of both.
const MAY_STAND: [&str; 4] = [
    "crates/gemm/src/kernel.rs",
    "crates/gemm/src/kernel/",
    "crates/conv/src/kernels/",
    "crates/testkit/src/guarded.rs",
];

/// `code` is the source without comments and literals.
pub(super) fn check(source: &Source, code: &str) -> Vec<Finding> {
    if MAY_STAND.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    let message = format!("`unsafe` may stand in {} alone", MAY_STAND.join(", "));
    lines_with_word(code, "unsafe")
        .map(|line| Finding::new(&source.path, line, message.clone()))
        .collect()
}

/// Every root of a package must rule `unsafe` out; `gemm` and `conv` may allow it again for their
/// kernels, and `testkit` for its pages.
pub(super) fn check_roots(package: &str, folder: &str, sources: &[Source]) -> Vec<Finding> {
    let accepted: &[&str] = match package {
        "gemm" | "conv" | "testkit" => &["#![forbid(unsafe_code)]", "#![deny(unsafe_code)]"],
        _ => &["#![forbid(unsafe_code)]"],
    };
    let roots = ["lib", "main"].map(|root| format!("{folder}/src/{root}.rs"));
    let mut present = sources.iter().filter(|source| roots.contains(&source.path)).peekable();
    if present.peek().is_none() {
        let message = format!("{package} has neither src/lib.rs nor src/main.rs");
        return vec![Finding::new(&format!("{folder}/Cargo.toml"), 1, message)];
    }
    present
        .filter(|source| !source.text.lines().any(|line| accepted.contains(&line.trim_end())))
        .map(|source| Finding::new(&source.path, 1, format!("lacks `{}`", accepted.join("` or `"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{check, check_roots};
    use crate::tidy::code::only_code;
    use crate::tidy::testing::{lines, source};

    #[test]
    fn unsafe_stands_in_kernels_alone() {
        let text = "// unsafe\nfn f() {\n    unsafe { g() }\n}\nunsafe impl Send for X {}\n";
        let found = |path: &str| lines(&check(&source(path, text), &only_code(text)));
        assert_eq!(found("crates/net/src/lib.rs"), [3, 5]);
        assert_eq!(found("crates/net/tests/a.rs"), [3, 5]);
        assert_eq!(found("crates/conv/src/plan.rs"), [3, 5]);
        assert!(found("crates/conv/src/kernels/avx2.rs").is_empty());
        assert_eq!(found("crates/gemm/src/lib.rs"), [3, 5]);
        assert!(found("crates/gemm/src/kernel.rs").is_empty());
        assert!(found("crates/gemm/src/kernel/tile.rs").is_empty());
        assert_eq!(found("crates/gemm/tests/a.rs"), [3, 5]);
        assert!(found("crates/testkit/src/guarded.rs").is_empty());
        assert_eq!(found("crates/testkit/src/close.rs"), [3, 5]);
    }

    #[test]
    fn roots_forbid_it() {
        let found = |package: &str, text: &str| {
            let folder = format!("crates/{package}");
            check_roots(package, &folder, &[source(&format!("{folder}/src/lib.rs"), text)]).len()
        };
        assert_eq!(found("net", "//! Doc.\n#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(found("net", "//! Doc.\n"), 1);
        assert_eq!(found("net", "// #![forbid(unsafe_code)]\n"), 1);
        assert_eq!(found("net", "#![deny(unsafe_code)]\n"), 1);
        assert_eq!(found("conv", "#![deny(unsafe_code)]\n"), 0);
        assert_eq!(found("conv", "#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(found("conv", "\n"), 1);
        assert_eq!(found("gemm", "#![deny(unsafe_code)]\n"), 0);
        assert_eq!(found("gemm", "\n"), 1);
        assert_eq!(found("testkit", "#![deny(unsafe_code)]\n"), 0);
        assert_eq!(found("testkit", "\n"), 1);
        assert_eq!(check_roots("net", "crates/net", &[]).len(), 1);
    }

    #[test]
    fn both_roots_count() {
        let sources = [
            source("xtask/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            source("xtask/src/main.rs", "fn main() {}\n"),
        ];
        let findings = check_roots("xtask", "xtask", &sources);
        assert_eq!(findings[0].to_string(), "xtask/src/main.rs:1: lacks `#![forbid(unsafe_code)]`");
        assert_eq!(findings.len(), 1);
    }
}
