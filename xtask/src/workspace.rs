//! The workspace as it lies on the disk: its root, its packages, their test targets.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::Manifest;

/// The workspace around the current directory.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// `Cargo.toml` of the root.
    pub(crate) manifest: Manifest,
    /// Ordered by folder, as the members are listed.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root, with `/`.
    pub(crate) folder: String,
    pub(crate) manifest: Manifest,
}

/// A file `tests/NAME.rs` or a folder `tests/NAME/main.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestTarget {
    pub(crate) package: String,
    pub(crate) name: String,
}

impl Workspace {
    /// Walks up from the current directory to the first `Cargo.toml` with a `[workspace]`.
    ///
    /// # Errors
    ///
    /// There is none, or a file of it cannot be read.
    pub(crate) fn find() -> Result<Self, String> {
        let here = std::env::current_dir()
            .map_err(|error| format!("the current directory cannot be found: {error}"))?;
        for folder in here.ancestors() {
            let Ok(text) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
            let manifest = Manifest::parse(&text);
            if manifest.get(&["workspace", "members"]).is_some() {
                return Self::open(folder, manifest);
            }
        }
        Err(format!("no Cargo.toml with workspace members in {} or above it", here.display()))
    }

    fn open(root: &Path, manifest: Manifest) -> Result<Self, String> {
        let mut packages = Vec::new();
        for member in manifest.strings(&["workspace", "members"]) {
            let folders = match member.strip_suffix("/*") {
                Some(parent) => list(&root.join(parent))?
                    .into_iter()
                    .filter(|name| root.join(parent).join(name).join("Cargo.toml").is_file())
                    .map(|name| format!("{parent}/{name}"))
                    .collect(),
                None => vec![member],
            };
            for folder in folders {
                let path = root.join(&folder).join("Cargo.toml");
                let text = fs::read_to_string(&path)
                    .map_err(|error| format!("{folder}/Cargo.toml cannot be read: {error}"))?;
                let manifest = Manifest::parse(&text);
                let name = manifest
                    .name()
                    .ok_or_else(|| format!("{folder}/Cargo.toml does not name its package"))?;
                packages.push(Package { name, folder, manifest });
            }
        }
        Ok(Self { root: root.to_owned(), manifest, packages })
    }

    /// The test targets that cargo finds by itself, ordered by package and name.
    ///
    /// # Errors
    ///
    /// A folder cannot be read.
    pub(crate) fn test_targets(&self) -> Result<Vec<TestTarget>, String> {
        let mut targets = Vec::new();
        for package in &self.packages {
            let tests = self.root.join(&package.folder).join("tests");
            if !tests.is_dir() {
                continue;
            }
            for entry in list(&tests)? {
                let name = if tests.join(&entry).join("main.rs").is_file() {
                    entry
                } else if let Some(stem) = entry.strip_suffix(".rs") {
                    stem.to_owned()
                } else {
                    continue;
                };
                targets.push(TestTarget { package: package.name.clone(), name });
            }
        }
        Ok(targets)
    }
}

/// The names in a folder, sorted.
fn list(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("the folder {} cannot be read: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn finds_this_workspace() {
        let workspace = Workspace::find().expect("the tests run inside the workspace");
        let names: Vec<_> = workspace.packages.iter().map(|package| &*package.name).collect();
        for expected in ["tensor4", "colonnade", "benches", "xtask"] {
            assert!(names.contains(&expected), "{expected} is not among {names:?}");
        }
        assert!(workspace.root.join("xtask/src/main.rs").is_file());
    }
}
