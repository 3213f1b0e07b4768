//! The run folder and its files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use weights::atomic;

use crate::failure::Failure;

/// The longest file of settings, in bytes.
pub(crate) const MAX_TEXT: u64 = 1 << 20;
/// The longest `metrics.csv` or `steps.csv`, in bytes: some million lines.
const MAX_TABLE: u64 = 1 << 28;

/// A folder that holds one run: `initial.safetensors`, `model.safetensors`, `metrics.csv`,
/// `steps.csv`, `config.json`, `config.toml`, `state.safetensors`, `state.previous.safetensors`.
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder. One that already holds a run is left alone: that is an error.
    pub(crate) fn create(path: PathBuf) -> Result<Self, Failure> {
        let folder = Self { path };
        for file in [folder.config(), folder.model()] {
            if file.exists() {
                return Err(Failure::RunExists { path: folder.path });
            }
        }
        fs::create_dir_all(&folder.path)
            .map_err(|e| failed("create the folder", &folder.path, e))?;
        folder.remove_strays()?;
        Ok(folder)
    }

    /// A folder that a run has been written to.
    pub(crate) fn open(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The weights before training.
    pub(crate) fn initial(&self) -> PathBuf {
        self.path.join("initial.safetensors")
    }

    /// The weights after the last good epoch.
    pub(crate) fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// All that is needed to go on.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// What `state` was before it was written anew.
    pub(crate) fn previous_state(&self) -> PathBuf {
        self.path.join("state.previous.safetensors")
    }

    /// A state that could not be read, out of the way of the next.
    pub(crate) fn damaged_state(&self) -> PathBuf {
        self.path.join("state.damaged.safetensors")
    }

    /// Removes what programs that were killed have left.
    pub(crate) fn remove_strays(&self) -> Result<(), Failure> {
        let removed = atomic::remove_strays(&self.path);
        removed.map(drop).map_err(|e| failed("look into the folder", &self.path, e))
    }

    /// The settings under the names of the flags.
    pub(crate) fn settings(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The settings, and facts about data and network.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// One line per few steps.
    pub(crate) fn steps(&self) -> PathBuf {
        self.path.join("steps.csv")
    }

    /// One line per epoch.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }
}

/// Writes a file as a whole: whoever reads it meanwhile, or after a crash, finds the old one or
/// the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    atomic::write(path, bytes).map_err(|e| failed("write it", path, e))
}

/// Reads a file of text that people may have written, unless it is longer than any that makes
/// sense.
pub(crate) fn read_text(path: &Path, action: &'static str) -> Result<Vec<u8>, Failure> {
    read_up_to(MAX_TEXT, path, action)
}

/// Reads a table that a run has left, in the same way.
pub(crate) fn read_table(path: &Path, action: &'static str) -> Result<String, Failure> {
    let text = read_up_to(MAX_TABLE, path, action)?;
    String::from_utf8(text)
        .map_err(|e| failed(action, path, io::Error::new(io::ErrorKind::InvalidData, e)))
}

fn read_up_to(max: u64, path: &Path, action: &'static str) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut text = Vec::new();
        // Not by its size: some files have none, and go on for ever.
        File::open(path)?.take(max + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|e| failed(action, path, e))?;
    if text.len() as u64 > max {
        return Err(Failure::TooLong { path: path.to_owned(), max });
    }
    Ok(text)
}

/// Writes settings as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| failed("write it as JSON", path, e.into()))?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// The failure of an action on a file.
pub(crate) fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Failure {
    Failure::File { path: path.to_owned(), action, source }
}
