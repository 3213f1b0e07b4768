//! As much of `Cargo.toml` as the tasks need, read line by line: no dependency for a file
//! whose form we decide ourselves.
//!
//! Known: sections, dotted and quoted keys, comments, values over several lines as long as
//! they are held together by brackets. Unknown: triple-quoted strings.

/// One `key = value`, with the section written out in front of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `[dependencies]` and `foo.workspace` make `["dependencies", "foo", "workspace"]`.
    pub(crate) path: Vec<String>,
    /// The value as written, without comments.
    pub(crate) value: String,
    /// Line of the key, from 1.
    pub(crate) line: usize,
}

/// Who needs a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// `[dependencies]` and `[build-dependencies]`: whoever uses the crate.
    Normal,
    /// `[dev-dependencies]`: its tests and benches.
    Dev,
}

/// One dependency of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Name of the package depended on, whatever it is called here.
    pub(crate) package: String,
    pub(crate) need: Need,
    pub(crate) line: usize,
}

/// A parsed `Cargo.toml`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    pub(crate) entries: Vec<Entry>,
}

impl Manifest {
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut section: Vec<String> = Vec::new();
        let mut depth = 0;
        for (index, raw) in text.lines().enumerate() {
            let line = strip_comment(raw).trim();
            if depth > 0 {
                if let Some(entry) = entries.last_mut() {
                    entry.value.push(' ');
                    entry.value.push_str(line);
                }
                depth += bracket_balance(line);
            } else if line.starts_with('[') {
                section = split_key(line.trim_matches(['[', ']']));
            } else if let Some((key, value)) = split_outside_quotes(line, '=') {
                let mut path = section.clone();
                path.extend(split_key(key));
                entries.push(Entry { path, value: value.trim().to_owned(), line: index + 1 });
                depth += bracket_balance(value);
            }
        }
        Self { entries }
    }

    /// The value at exactly this path.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&str> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| entry.value.as_str())
    }

    /// The strings of the array at exactly this path.
    pub(crate) fn strings(&self, path: &[&str]) -> Vec<String> {
        self.get(path).map(quoted_strings).unwrap_or_default()
    }

    /// The package's name.
    pub(crate) fn name(&self) -> Option<String> {
        self.strings(&["package", "name"]).into_iter().next()
    }

    /// The features, without `default`.
    pub(crate) fn features(&self) -> Vec<String> {
        self.entries
            .iter()
            .filter_map(|entry| match entry.path.as_slice() {
                [section, feature] if section == "features" && feature != "default" => {
                    Some(feature.clone())
                }
                _ => None,
            })
            .collect()
    }

    /// All dependencies, those of one target too. One that is written over several lines
    /// (`[dependencies.foo]`) comes once for each line.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let mut found = Vec::new();
        for entry in &self.entries {
            let path = match entry.path.as_slice() {
                [target, _, rest @ ..] if target == "target" => rest,
                path => path,
            };
            let [section, name, rest @ ..] = path else { continue };
            let need = match section.as_str() {
                "dependencies" | "build-dependencies" => Need::Normal,
                "dev-dependencies" => Need::Dev,
                _ => continue,
            };
            let package = match rest {
                [] => inline_package(&entry.value),
                [key] if key == "package" => quoted_strings(&entry.value).into_iter().next(),
                _ => None,
            };
            let package = package.unwrap_or_else(|| name.clone());
            found.push(Dependency { package, need, line: entry.line });
        }
        found
    }
}

/// The `package = "name"` of an inline table.
fn inline_package(value: &str) -> Option<String> {
    let table = value.strip_prefix('{')?.strip_suffix('}')?;
    let mut rest = Some(table);
    while let Some(text) = rest {
        let (field, tail) = match split_outside_quotes(text, ',') {
            Some((field, tail)) => (field, Some(tail)),
            None => (text, None),
        };
        if let Some((key, value)) = split_outside_quotes(field, '=')
            && key.trim() == "package"
        {
            return quoted_strings(value).into_iter().next();
        }
        rest = tail;
    }
    None
}

/// Splits `a."b.c".d` into its parts, without quotes.
fn split_key(key: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = Some(key);
    while let Some(text) = rest {
        let (part, tail) = match split_outside_quotes(text, '.') {
            Some((part, tail)) => (part, Some(tail)),
            None => (text, None),
        };
        parts.push(part.trim().trim_matches(['"', '\'']).to_owned());
        rest = tail;
    }
    parts
}

/// The contents of all quoted strings of a value.
fn quoted_strings(value: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut rest = value;
    while let Some(open) = rest.find(['"', '\'']) {
        let quote = if rest[open..].starts_with('"') { '"' } else { '\'' };
        let Some(length) = rest[open + 1..].find(quote) else { break };
        strings.push(rest[open + 1..open + 1 + length].to_owned());
        rest = &rest[open + length + 2..];
    }
    strings
}

fn strip_comment(line: &str) -> &str {
    split_outside_quotes(line, '#').map_or(line, |(before, _)| before)
}

/// Opening minus closing brackets outside of quotes.
fn bracket_balance(text: &str) -> i32 {
    outside_quotes(text)
        .map(|(_, character)| match character {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

/// Splits at the first `separator` that stands outside of quotes.
fn split_outside_quotes(text: &str, separator: char) -> Option<(&str, &str)> {
    let (at, _) = outside_quotes(text).find(|&(_, character)| character == separator)?;
    Some((&text[..at], &text[at + separator.len_utf8()..]))
}

/// The characters, with their places, that stand outside of quotes.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    text.char_indices().filter(move |&(_, character)| match quote {
        Some(open) => {
            if character == open {
                quote = None;
            }
            false
        }
        None if character == '"' || character == '\'' => {
            quote = Some(character);
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Need};

    const TEXT: &str = r#"
[package]
name = "conv" # not "net"

[workspace]
members = [
    "crates/*", # all
    "xtask",
]

[features]
default = ["std"]
std = ["tensor4/std"]
"odd.name" = []

[dependencies]
gemm = { workspace = true }
mm = { version = "1", features = ["a,b"], package = "matrixmultiply" }
rayon.workspace = true
[dependencies.tensor4]
path = "../tensor4"

[target.'cfg(target_os = "x.y")'.dependencies]
libc = "1"

[dev-dependencies]
testkit = { workspace = true }

[build-dependencies]
cc = "1"
"#;

    #[test]
    fn values_sections_and_comments() {
        let manifest = Manifest::parse(TEXT);
        assert_eq!(manifest.name().as_deref(), Some("conv"));
        assert_eq!(manifest.strings(&["workspace", "members"]), ["crates/*", "xtask"]);
        assert_eq!(manifest.features(), ["std", "odd.name"]);
        assert_eq!(manifest.get(&["dependencies", "rayon", "workspace"]), Some("true"));
        assert_eq!(manifest.get(&["dependencies", "absent"]), None);
    }

    #[test]
    fn dependencies_of_every_form() {
        let found: Vec<_> = Manifest::parse(TEXT)
            .dependencies()
            .into_iter()
            .map(|dependency| (dependency.package, dependency.need, dependency.line))
            .collect();
        let expected = [
            ("gemm", Need::Normal, 17),
            ("matrixmultiply", Need::Normal, 18),
            ("rayon", Need::Normal, 19),
            ("tensor4", Need::Normal, 21),
            ("libc", Need::Normal, 24),
            ("testkit", Need::Dev, 27),
            ("cc", Need::Normal, 30),
        ];
        assert_eq!(found, expected.map(|(name, need, line)| (name.to_owned(), need, line)));
    }
}
