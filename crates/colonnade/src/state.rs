//! What a run needs to be resumed: `state.safetensors`.

use std::path::{Path, PathBuf};

use net::{Checkpoint, Evaluation, NetError, Position, Sequential, Trainer};
use serde::{Deserialize, Serialize};
use weights::{Contents, Tensor, atomic};

use crate::failure::Failure;
use crate::files::{RunFolder, failed, read_text};
use crate::weights_file;

/// Where a run stands, beside its tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    epochs: usize,
    step: u64,
    step_in_epoch: usize,
    loss_sum: f64,
    correct: usize,
    images: usize,
    /// The steps since the last line of `steps.csv`.
    pub(crate) line: Line,
    /// How long it has been trained.
    pub(crate) seconds: f64,
    /// The epoch whose weights are kept, if one is chosen.
    pub(crate) best: Option<Best>,
}

/// Sums over the images of a few steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) loss: f64,
    pub(crate) correct: usize,
    pub(crate) images: usize,
}

/// An epoch with the highest test accuracy so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub(crate) epoch: usize,
    correct: usize,
    images: usize,
    /// None where it is no number that JSON could hold.
    loss: Option<f64>,
}

impl Best {
    pub(crate) fn new(epoch: usize, test: &Evaluation) -> Self {
        let Evaluation { loss, correct, images } = *test;
        Self { epoch, correct, images, loss: loss.is_finite().then_some(loss) }
    }

    pub(crate) fn test(&self) -> Evaluation {
        let Self { correct, images, loss, .. } = *self;
        Evaluation { loss: loss.unwrap_or(f64::NAN), correct, images }
    }
}

impl Mark {
    pub(crate) fn new(position: Position, line: Line, seconds: f64, best: Option<Best>) -> Self {
        let Position { epochs, step, step_in_epoch, loss_sum, correct, images } = position;
        Self { epochs, step, step_in_epoch, loss_sum, correct, images, line, seconds, best }
    }

    pub(crate) fn position(&self) -> Position {
        let Self { epochs, step, step_in_epoch, loss_sum, correct, images, .. } = *self;
        Position { epochs, step, step_in_epoch, loss_sum, correct, images }
    }
}

/// The key of the text that says where the run stands.
const KEY: &str = "state";

/// The key of the text of `config.toml`: with it the file has all that the run needs.
const SETTINGS: &str = "settings";

/// Writes weights, their average, the moments of the optimiser, and where the run stands. The state
/// that was there is kept beside it: at every moment there is a whole one.
pub(crate) fn save(
    checkpoint: &Checkpoint<'_, f32>,
    mark: &Mark,
    folder: &RunFolder,
) -> Result<(), Failure> {
    let path = folder.state();
    let bad = |message: String| Failure::Weights { path: path.clone(), message };
    let text = serde_json::to_string(mark).map_err(|e| bad(e.to_string()))?;
    let tensors = checkpoint.tensors();
    let tensors = tensors.iter().map(|(name, dims, values)| (name.as_str(), *dims, *values));
    if path.exists() {
        let kept = atomic::keep_as(&path, folder.previous_state());
        kept.map_err(|e| failed("keep it under a second name", &path, e))?;
    }
    // Without them a training can still be gone on with: no reason to lose it.
    let settings = read_text(&folder.settings(), "read the settings").ok();
    let settings = settings.and_then(|text| String::from_utf8(text).ok());
    let settings = settings.as_deref().map(|text| (SETTINGS, text));
    let texts = [(KEY, text.as_str())].into_iter().chain(settings);
    Ok(weights::safetensors::save(&path, tensors, texts)?)
}

/// The settings that the newest state of a run has, where `config.toml` is missing.
pub(crate) fn settings(folder: &RunFolder) -> Option<(PathBuf, Vec<u8>)> {
    [folder.state(), folder.previous_state()].into_iter().find_map(|path| {
        let mut contents = weights_file::read(&path).ok()?;
        let text = contents.texts.remove(SETTINGS)?;
        Some((path, text.into_bytes()))
    })
}

/// A state that was read.
pub(crate) struct State {
    pub(crate) mark: Mark,
    tensors: Vec<Tensor>,
}

impl State {
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        Self::from_contents(weights_file::read(path)?, path)
    }

    pub(crate) fn from_contents(contents: Contents, path: &Path) -> Result<Self, Failure> {
        let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
        let text = contents.texts.get(KEY);
        let text = text.ok_or_else(|| bad("there is no state in it".to_owned()))?;
        let mark = serde_json::from_str(text)
            .map_err(|e| bad(format!("the state in it can't be read: {e}")))?;
        Ok(Self { mark, tensors: contents.tensors })
    }

    /// Lets the trainer go on from here.
    pub(crate) fn restore(
        &self,
        trainer: &mut Trainer<f32>,
        net: &mut Sequential<f32>,
    ) -> Result<(), NetError> {
        trainer.resume(net, self.mark.position(), self.tensors.iter().map(Tensor::parts))
    }
}
