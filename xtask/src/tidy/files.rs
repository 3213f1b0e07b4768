//! Which files belong to the repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Finding, Source};

/// Endings of files that must be UTF-8. Others are left alone if they are not.
const TEXT: [&str; 12] =
    ["rs", "md", "toml", "lock", "py", "sh", "txt", "json", "csv", "yml", "yaml", "html"];

/// Folders that a walk without git leaves out: the build, git's own, and runs of the program.
const LEFT_OUT: [&str; 3] = ["target", ".git", "runs"];

/// Reads every text file that git tracks or could track.
///
/// # Errors
///
/// A folder or a file cannot be read.
pub(super) fn read(root: &Path) -> Result<(Vec<Source>, Vec<Finding>), String> {
    let paths = match from_git(root) {
        Some(paths) => paths,
        None => {
            let mut paths = Vec::new();
            walk(root, "", &mut paths)?;
            paths
        }
    };
    let (mut sources, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        let full = root.join(&path);
        // A tracked file may be deleted, and a tracked link may lead to a folder.
        if !full.is_file() {
            continue;
        }
        let bytes = fs::read(&full).map_err(|error| format!("{path} cannot be read: {error}"))?;
        match decode(&path, bytes) {
            Ok(Some(text)) => sources.push(Source { path, text }),
            Ok(None) => {}
            Err(finding) => findings.push(finding),
        }
    }
    Ok((sources, findings))
}

/// The text, nothing if the file is no text, or a finding if it ought to be.
fn decode(path: &str, bytes: Vec<u8>) -> Result<Option<String>, Finding> {
    let must_be_text = Path::new(path)
        .extension()
        .is_some_and(|extension| TEXT.iter().any(|&text| extension == text));
    match String::from_utf8(bytes) {
        Ok(text) if must_be_text || !text.contains('\0') => Ok(Some(text)),
        Err(error) if must_be_text => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Err(Finding::new(path, line, "is not UTF-8"))
        }
        _ => Ok(None),
    }
}

/// Tracked files and new ones that are not ignored; nothing if this is no checkout.
fn from_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let paths: Vec<String> =
        String::from_utf8(output.stdout).ok()?.split_terminator('\0').map(str::to_owned).collect();
    // A copy without `.git` may lie inside another checkout, whose git knows none of its files.
    paths.iter().any(|path| path == "Cargo.toml").then_some(paths)
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<(), String> {
    let unreadable = |error| format!("the folder ./{folder} cannot be read: {error}");
    for entry in fs::read_dir(root.join(folder)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().map_err(unreadable)?.is_dir() {
            paths.push(path);
        } else if !LEFT_OUT.contains(&name.as_str()) {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{decode, read, walk};
    use crate::workspace::Workspace;

    #[test]
    fn binaries_are_left_out_and_broken_text_is_found() {
        assert_eq!(decode("a.rs", b"fn".to_vec()), Ok(Some("fn".to_owned())));
        assert_eq!(decode("a.bin", b"\0fn".to_vec()), Ok(None));
        assert_eq!(decode("a.gz", vec![0x1f, 0x8b]), Ok(None));
        let finding = decode("a.rs", b"one\n\xff".to_vec()).expect_err("0xff is not UTF-8");
        assert_eq!(finding.to_string(), "a.rs:2: is not UTF-8");
    }

    #[test]
    fn this_file_is_found_either_way() {
        let root = Workspace::find().expect("the tests run inside the workspace").root;
        let (sources, _) = read(&root).expect("the workspace can be read");
        assert!(sources.iter().any(|source| source.path == "xtask/src/tidy/files.rs"));
        let mut paths = Vec::new();
        walk(&root, "xtask", &mut paths).expect("xtask can be walked");
        assert!(paths.iter().any(|path| path == "xtask/src/tidy/files.rs"));
    }
}
