//! A run folder that is read again.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dataset::image_folder::FolderOptions;
use net::Sequential;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::data::BUNDLED;
use crate::failure::Failure;
use crate::files::{RunFolder, read_text};
use crate::model::ModelName;
use crate::near::did_you_mean;
use crate::samples::Data;
use crate::weights_file;

/// What `config.json` must say, so that the network can be built again.
#[derive(Deserialize)]
pub(crate) struct Config {
    model: String,
    data: String,
    input: [usize; 3],
    classes: usize,
    #[serde(default)]
    class_names: Vec<String>,
    #[serde(default)]
    resize: Option<usize>,
    #[serde(default)]
    normalize: bool,
    #[serde(default)]
    mean: Vec<f32>,
    #[serde(default)]
    std: Vec<f32>,
}

/// What a `config.json` says, or why it makes no sense.
pub(crate) fn parse(text: &[u8]) -> Result<(Config, ModelName, Map<String, Value>), String> {
    let settings: Map<String, Value> = serde_json::from_slice(text)
        .map_err(|e| format!("these are not the settings of a run: {e}"))?;
    let config: Config = serde_json::from_value(Value::Object(settings.clone()))
        .map_err(|e| format!("a setting does not fit: {e}"))?;
    let model = ModelName::from_str(&config.model, false).map_err(|_| {
        let known: Vec<_> = ModelName::value_variants().iter().map(|m| m.name()).collect();
        let hint = did_you_mean(&config.model, known.iter().copied());
        format!("there is no model {}; known are {}{hint}", config.model, known.join(", "))
    })?;
    Ok((config, model, settings))
}

/// A run that has been trained, or is being trained.
pub(crate) struct Run {
    folder: RunFolder,
    model: ModelName,
    config: Config,
    /// All settings, in the order of their names.
    settings: Map<String, Value>,
}

impl Run {
    /// Reads the settings of a run.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let folder = RunFolder::open(path.to_owned());
        let file = folder.config();
        if !file.exists() {
            return Err(Failure::NoRun { path: path.to_owned() });
        }
        let text = read_text(&file, "read the settings")?;
        let (config, model, settings) =
            parse(&text).map_err(|message| Failure::Run { path: file, message })?;
        Ok(Self { folder, model, config, settings })
    }

    /// The run folder.
    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The name of the model.
    pub(crate) fn model(&self) -> &'static str {
        self.model.name()
    }

    /// When it was begun, as it was written down.
    pub(crate) fn date(&self) -> String {
        self.settings.get("date").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// How many classes the network tells apart.
    pub(crate) fn classes(&self) -> usize {
        self.config.classes
    }

    /// The names of the classes; none where they are numbers.
    pub(crate) fn class_names(&self) -> &[String] {
        &self.config.class_names
    }

    /// Does to the pixels of an image, from 0 to 1, what was done to those that were trained on.
    pub(crate) fn normalize(&self, pixels: &mut [f32]) {
        let Config { mean, std, .. } = &self.config;
        let plane = (pixels.len() / self.config.input[0].max(1)).max(1);
        for (pixels, (mean, std)) in pixels.chunks_exact_mut(plane).zip(mean.iter().zip(std)) {
            for pixel in pixels {
                *pixel = (*pixel - mean) / std;
            }
        }
    }

    /// The settings for people, in the order of their names.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let set = self.settings.iter().filter(|(_, value)| !value.is_null());
        set.map(|(key, value)| (key.replace('_', " "), text(value))).collect()
    }

    /// The data that the run was trained on, or those of another folder.
    pub(crate) fn data(&self, folder: Option<&Path>) -> Result<Data, Failure> {
        let trained_on = (self.config.data != BUNDLED).then(|| PathBuf::from(&self.config.data));
        let [channels, rows, cols] = self.config.input;
        let mut pictures = FolderOptions::new(rows, cols);
        if let Some(shorter_side) = self.config.resize {
            pictures = pictures.resize(shorter_side);
        }
        if channels == 1 {
            pictures = pictures.grey();
        }
        let source = folder.or(trained_on.as_deref());
        let data = Data::read(source, &pictures, self.config.normalize)?;
        if data.test.dims() != self.config.input {
            return Err(Failure::OtherImages { run: self.config.input, data: data.test.dims() });
        }
        Ok(data)
    }

    /// The network after training.
    pub(crate) fn trained(&self) -> Result<Sequential<f32>, Failure> {
        if !self.folder.model().exists() {
            return Err(Failure::NoWeights { path: self.folder.path().to_owned() });
        }
        self.network(&self.folder.model())
    }

    /// The network before training.
    pub(crate) fn initial(&self) -> Result<Sequential<f32>, Failure> {
        self.network(&self.folder.initial())
    }

    fn network(&self, path: &Path) -> Result<Sequential<f32>, Failure> {
        /// So many parameters are made without a second thought: 1 GiB.
        const FEW: usize = 1 << 28;
        let Config { input, classes, .. } = self.config;
        let needed = self.model.parameters(input, classes)?;
        if needed > FEW {
            // Not because the settings say so.
            let held = weights_file::numbers(path)?;
            if needed > held {
                let message = format!(
                    "such a network has {needed} parameters, but {} holds {held}",
                    path.display()
                );
                return Err(Failure::Run { path: self.folder.config(), message });
            }
        }
        let mut net = self.model.build_empty(Some(input), Some(classes))?;
        weights_file::load(&mut net, self.model.name(), path)?;
        Ok(net)
    }
}
