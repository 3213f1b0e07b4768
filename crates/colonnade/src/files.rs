//! The run folder and its files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;

/// A folder that holds one run: `initial.safetensors`, `model.safetensors`, `metrics.csv`,
/// `steps.csv`, `config.json`, `config.toml`, `state.safetensors`.
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
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        // Renamed only when its contents have reached the disk.
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&part);
        failed("write it", path, e)
    })
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
