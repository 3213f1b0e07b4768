//! The program, and the run folders that it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::workspace::Workspace;

/// The program, built in release, and a folder to work in.
pub(super) struct Program {
    path: PathBuf,
    scratch: PathBuf,
}

impl Program {
    pub(super) fn build(workspace: &Workspace) -> Result<Self, String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&workspace.root);
        cargo.args(["build", "--release", "--package", "colonnade", "--message-format", "json"]);
        let output = cargo.stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cargo can't be started: {error}"))?;
        if !output.status.success() {
            return Err("the program does not build".to_owned());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let path = executable(&messages).ok_or("cargo does not say where the program is")?;
        let scratch =
            std::env::temp_dir().join(format!("colonnade-torture-{}", std::process::id()));
        if scratch.to_str().is_none() {
            return Err(format!(
                "{} is no UTF-8; set TMPDIR to a folder that is",
                scratch.display()
            ));
        }
        fs::create_dir(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        Ok(Self { path: path.into(), scratch })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub(super) fn clean(&self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }

    /// A command line of the program, silent.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// What arguments make a short training into `out`: a second, most of it spent on the test images.
    pub(super) fn train<'a>(out: &'a str, epochs: &'a str) -> Vec<&'a str> {
        vec!["train", "--limit", "500", "--quiet", "--seed", "5", "--epochs", epochs, "--out", out]
    }

    /// What goes on with it.
    pub(super) fn resume<'a>(out: &'a str, epochs: &'a str) -> Vec<&'a str> {
        vec!["train", "--quiet", "--resume", out, "--epochs", epochs]
    }

    /// Runs to the end, which must be a good one.
    pub(super) fn succeed(&self, args: &[&str]) -> Result<(), String> {
        let output = run(&mut self.command(args))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{args:?} ended with {}: {}", output.status, said(&output))),
        }
    }
}

/// A path within the scratch folder, as an argument.
pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("the scratch folder is UTF-8, and so is what is made in it")
}

/// The newest state in a run folder.
pub(super) const STATE: &str = "state.safetensors";
/// The state before it.
pub(super) const PREVIOUS_STATE: &str = "state.previous.safetensors";

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| format!("{command:?} can't be started: {error}"))
}

/// The beginning of standard error, in one line.
pub(super) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" / ").chars().take(300).collect()
}

/// An error of the program's own: it ends with 1 and says what is wrong, without a panic.
pub(super) fn typed(output: &Output) -> Result<String, String> {
    let text = said(output);
    let whole = text.starts_with("error: ") && !text.contains("panicked");
    match output.status.code() {
        Some(1) if whole => Ok(text),
        _ => Err(format!("not an error of the program's own: {}, {text}", output.status)),
    }
}

/// The tensors of a state file, as bytes: all behind the header, which holds the seconds too. `None`
/// where there is no file, or not a whole one.
pub(super) fn tensors(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let header = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let tensors = bytes.get(8_usize.checked_add(header)?..)?;
    (!tensors.is_empty()).then(|| tensors.to_vec())
}

/// Names in a folder of files that a whole run does not have.
pub(super) fn strays(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let known = |name: &str| {
        let ends = [".safetensors", ".csv", ".json", ".toml"];
        ends.iter().any(|end| name.ends_with(end)) && !name.starts_with('.')
    };
    names.filter(|name| !known(name)).collect()
}

/// The path that cargo's messages, a JSON object in each line, give of the program.
fn executable(messages: &str) -> Option<String> {
    const KEY: &str = "\"executable\":\"";
    let line = messages.lines().rfind(|line| line.contains(KEY))?;
    let start = line.find(KEY)? + KEY.len();
    let length = line[start..].find('"')?;
    Some(line[start..start + length].to_owned())
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn the_last_executable_is_the_program() {
        let messages =
            "{\"executable\":null}\n{\"a\":1,\"executable\":\"/t/colonnade\",\"b\":2}\n{}";
        assert_eq!(executable(messages).as_deref(), Some("/t/colonnade"));
        assert_eq!(executable("{}"), None);
    }
}
