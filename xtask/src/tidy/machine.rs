//! Nothing in the repository may hold on one machine alone: no path of somebody's folders, no
//! private host, no mirror of a registry.

use super::{Finding, Source};

/// Folders at the root of a file system that mean one machine. Tests that need a folder make a
/// temporary one, and examples in the docs use relative paths.
const FOLDERS: [&str; 5] = ["home", "root", "work", "tmp", "Users"];

/// Where crates come from, as `Cargo.lock` writes it.
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// Hosts that may be named although they look like a registry.
const KNOWN_HOSTS: [&str; 5] =
    ["crates.io", "static.crates.io", "index.crates.io", "docs.rs", "github.com"];

/// Parts of a host's name that mark a registry, or a mirror of one.
const REGISTRY_WORDS: [&str; 9] =
    ["crates", "registry", "mirror", "proxy", "artifactory", "nexus", "pypi", "npmjs", "goproxy"];

/// Last parts of the names of hosts that only one network knows.
const PRIVATE_ENDINGS: [&str; 6] = ["internal", "local", "localhost", "lan", "corp", "intranet"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let is_lock = source.path.rsplit('/').next() == Some("Cargo.lock");
    let is_cargo_config = source.path.ends_with(".cargo/config.toml");
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut add =
            |message: String| findings.push(Finding::new(&source.path, index + 1, message));
        if let Some(path) = machine_path(line) {
            add(format!("`{path}` is a path of one machine"));
        }
        for host in hosts(line).filter(|host| is_private(host) || is_registry(host)) {
            add(format!("the host `{host}` is private, or a registry other than crates.io"));
        }
        if is_lock
            && let Some(value) = line.strip_prefix("source = ")
            && !CRATES_IO.contains(&value.trim_matches('"'))
        {
            add(format!("a dependency comes from {value}, not from crates.io"));
        }
        if is_cargo_config && (line.starts_with("[source") || line.starts_with("[registr")) {
            add("the configuration for everybody must not replace a registry".to_owned());
        }
    }
    findings
}

/// The first machine path of a line, up to the end of its second folder's name.
fn machine_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(at, _)| {
        let rest = &line[at + 1..];
        let folder = FOLDERS.iter().find(|folder| {
            rest.strip_prefix(**folder).is_some_and(|after| after.starts_with('/'))
        })?;
        // `data/work/x` and `https://host/work/` are other people's paths.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "._-~)}*".contains(c)) {
            return None;
        }
        let tail = &rest[folder.len() + 1..];
        let end =
            tail.find(|c: char| !c.is_alphanumeric() && !"._-".contains(c)).unwrap_or(tail.len());
        Some(&line[at..at + 1 + folder.len() + 1 + end])
    })
}

/// The hosts of the URLs in a line, without user and port.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").map(|(at, separator)| {
        let rest = &line[at + separator.len()..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && !".-_:@[]".contains(c))
            .unwrap_or(rest.len());
        let authority = rest[..end].rsplit('@').next().unwrap_or_default();
        let port = authority.rfind(':').filter(|&colon| !authority[colon..].contains(']'));
        port.map_or(authority, |colon| &authority[..colon]).trim_end_matches(['.', ']'])
    })
}

/// An address, or a name that the public name system does not know.
fn is_private(host: &str) -> bool {
    if host.is_empty() {
        return false;
    }
    let is_address = host.starts_with('[') || host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let last = host.rsplit('.').next().unwrap_or_default();
    is_address || PRIVATE_ENDINGS.contains(&last)
}

fn is_registry(host: &str) -> bool {
    !KNOWN_HOSTS.contains(&host)
        && host
            .split(['.', '-'])
            .any(|part| REGISTRY_WORDS.iter().any(|word| part.starts_with(word)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{lines, source};

    fn count(path: &str, text: &str) -> usize {
        check(&source(path, text)).len()
    }

    /// The rule reads this file too, so the paths are put together here.
    fn path(folder: &str, rest: &str) -> String {
        format!("/{folder}/{rest}")
    }

    #[test]
    fn paths_of_one_machine() {
        for folder in ["home", "root", "work", "tmp", "Users"] {
            let text = format!("fine\nopen(\"{}\")\n", path(folder, "me/x"));
            let findings = check(&source("a.md", &text));
            assert_eq!(lines(&findings), [2]);
            let expected = format!("a.md:2: `{}` is a path of one machine", path(folder, "me"));
            assert_eq!(findings[0].to_string(), expected);
        }
        assert_eq!(count("a.md", &format!("file://{}", path("home", "me"))), 1);
        assert_eq!(count("a.md", &format!("data{}", path("work", "x"))), 0);
        assert_eq!(count("a.md", &format!("https://example.org{}", path("home", "x"))), 0);
        assert_eq!(count("a.md", "home/me and /homeless/x and the /root"), 0);
    }

    #[test]
    fn private_hosts_and_registries() {
        let url = |host: &str| format!("see <https://{host}/x>\n");
        for host in ["crates.io", "docs.rs", "github.com", "pytorch.org", "arxiv.org"] {
            assert_eq!(count("a.md", &url(host)), 0, "{host}");
        }
        let bad = [
            format!("crates.{}.net", "example"),
            format!("user@{}.example.org", "registry"),
            format!("{}-hub.example.org:8080", "mirror"),
            format!("files.{}", "internal"),
            format!("{}:8000", "localhost"),
            format!("{}.0.0.1:80", 10),
        ];
        for host in bad {
            assert_eq!(count("a.md", &url(&host)), 1, "{host}");
        }
        assert_eq!(count("a.md", "std::process and a :// b"), 0);
    }

    #[test]
    fn locked_sources() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        let bad = "name = \"x\"\nsource = \"git+https://github.com/x/x\"\n";
        assert_eq!(count("Cargo.lock", good), 0);
        assert_eq!(lines(&check(&source("Cargo.lock", bad))), [2]);
        assert_eq!(count("peers/Cargo.lock", bad), 1);
        assert_eq!(count("a.md", bad), 0);
    }

    #[test]
    fn cargo_is_not_sent_elsewhere() {
        let bad = "[alias]\nx = \"run\"\n[source.crates-io]\nreplace-with = \"y\"\n";
        assert_eq!(lines(&check(&source(".cargo/config.toml", bad))), [3]);
        assert_eq!(count("crates/x/Cargo.toml", bad), 0);
    }
}
