//! The code maps name every package.

use super::{Finding, Source};

/// `names` are those of the packages.
pub(super) fn check(names: &[&str], sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in ["README.md", "ARCHITECTURE.md"] {
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            findings.push(Finding::new(path, 1, "is missing"));
            continue;
        };
        // A README may list the packages where it likes.
        let (line, map) = match section(&source.text, "code map") {
            Some(found) => found,
            None if path == "README.md" => (1, source.text.as_str()),
            None => {
                findings.push(Finding::new(path, 1, "has no section called \"Code map\""));
                continue;
            }
        };
        for name in names.iter().filter(|name| !mentions(map, name)) {
            let message = format!("the package `{name}` is not named (write `{name}` or {name}/)");
            findings.push(Finding::new(path, line, message));
        }
    }
    findings
}

/// The section with this heading, in any case, with its subsections; and the heading's line.
fn section<'a>(text: &'a str, heading: &str) -> Option<(usize, &'a str)> {
    let mut start: Option<(usize, usize, usize)> = None;
    let mut at = 0;
    let mut fenced = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let level = line.chars().take_while(|&c| c == '#').count();
        if level > 0 && !fenced {
            match start {
                Some((number, begin, opened)) if level <= opened => {
                    return Some((number, &text[begin..at]));
                }
                None if line.trim_matches(['#', ' ', '\n']).eq_ignore_ascii_case(heading) => {
                    start = Some((index + 1, at, level));
                }
                _ => {}
            }
        }
        at += line.len();
    }
    start.map(|(number, begin, _)| (number, &text[begin..]))
}

/// Whether a package is named as one: in backquotes, or as a folder, not as a word of prose
/// (`net`, `report` and `conv` are that as well).
fn mentions(text: &str, name: &str) -> bool {
    let folder = format!("{name}/");
    text.contains(&format!("`{name}`"))
        || text.contains(&format!("crates/{name}`"))
        || text.match_indices(&folder).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || "/`(".contains(c) || !c.is_ascii())
        })
}

#[cfg(test)]
mod tests {
    use super::{check, section};
    use crate::tidy::testing::source;

    fn messages(readme: &str, architecture: &str) -> Vec<String> {
        let sources = [source("README.md", readme), source("ARCHITECTURE.md", architecture)];
        check(&["net", "conv"], &sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_maps_name_every_package() {
        let none: [&str; 0] = [];
        let map = "# A\n\n## Code map\n\n    crates/\n      net/   layers\n      conv/  plans\n";
        assert_eq!(messages("`net` stands on [`conv`](crates/conv).\n", map), none);
        assert_eq!(
            messages("a net of conv, subnet/, `network`\n", map),
            [
                "README.md:1: the package `net` is not named (write `net` or net/)",
                "README.md:1: the package `conv` is not named (write `conv` or conv/)",
            ]
        );
        let elsewhere = "# A\n\n## Code Map\n\n`net`\n\n## Other\n\n`conv`\n";
        assert_eq!(
            messages("`net`, `conv`", elsewhere),
            ["ARCHITECTURE.md:3: the package `conv` is not named (write `conv` or conv/)"]
        );
    }

    #[test]
    fn missing_files_and_sections() {
        let messages = messages("`net` `conv`", "# A\n\n`net` `conv`\n");
        assert_eq!(messages, ["ARCHITECTURE.md:1: has no section called \"Code map\""]);
        assert_eq!(check(&["net"], &[]).len(), 2);
    }

    #[test]
    fn a_section_ends_at_its_equal() {
        let text = "# A\n## Map\none\n### Sub\n```\n# no heading\n```\ntwo\n## B\nthree\n";
        let (line, map) = section(text, "map").expect("there is one");
        assert_eq!(line, 2);
        assert!(map.contains("two") && !map.contains("three"), "{map}");
    }
}
