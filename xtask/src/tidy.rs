//! The rules of the workspace that no other tool checks.

mod code;
mod depend;
mod files;
mod leftovers;
mod machine;
mod maps;
mod shape;
mod unsafety;

use std::fmt;

use crate::workspace::Workspace;

pub(crate) const EXAMPLES: &str = "\
Example:
  cargo xtask tidy              prints one `path:line: message` for each finding

The files are those that git tracks, and new ones that it does not ignore.";

/// One text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every rule, prints the findings, and says how many there are.
///
/// # Errors
///
/// The files of the repository cannot be listed or read.
pub(crate) fn run(workspace: &Workspace) -> Result<usize, String> {
    let (sources, mut findings) = files::read(&workspace.root)?;
    findings.extend(depend::check(workspace));
    for package in &workspace.packages {
        findings.extend(unsafety::check_roots(&package.name, &package.folder, &sources));
    }
    for source in &sources {
        if source.path.ends_with(".rs") {
            let code = code::only_code(&source.text);
            findings.extend(unsafety::check(source, &code));
            findings.extend(leftovers::check(source, &code));
        }
        findings.extend(shape::check(source));
        findings.extend(machine::check(source));
    }
    let names: Vec<&str> = workspace.packages.iter().map(|package| &*package.name).collect();
    findings.extend(maps::check(&names, &sources));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    let outcome = match findings.len() {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    println!("tidy: {} files read, {outcome}", sources.len());
    Ok(findings.len())
}

#[cfg(test)]
mod testing {
    use super::{Finding, Source};

    pub(super) fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The lines of the findings.
    pub(super) fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }
}
