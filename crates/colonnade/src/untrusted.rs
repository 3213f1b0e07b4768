//! What the program reads that others may have written, from bytes: for tests and fuzzers.
//!
//! Each returns an error for what can't be read and never panics. Data sets and weights are read by
//! the crates `dataset` and `weights`.

use std::error::Error;
use std::path::Path;

use net::Position;
use tensor4::Shape4;

use crate::state::State;
use crate::{config_file, predict, run};

/// An error of any kind, with a message for people.
pub type Refused = Box<dyn Error + Send + Sync>;

/// Whether `train --config` would take a file of this text.
///
/// # Errors
///
/// It is not TOML, or a setting makes no sense.
pub fn settings(text: &[u8]) -> Result<(), Refused> {
    Ok(config_file::check(text)?)
}

/// Whether this is the `config.json` of a run.
///
/// # Errors
///
/// It is not JSON, or lacks what a run needs.
pub fn run_settings(text: &[u8]) -> Result<(), Refused> {
    Ok(run::parse(text).map(drop)?)
}

/// Where the training stands whose `state.safetensors` this is.
///
/// # Errors
///
/// It is no safetensors file, or holds no state.
pub fn state(bytes: &[u8]) -> Result<Position, Refused> {
    let path = Path::new("state");
    let state = State::from_contents(weights::read_bytes(bytes, path)?, path)?;
    Ok(state.mark.position())
}

/// Reads a picture as `predict` does: as an image of `channels` by `height` by `width` pixels from
/// 0 to 1; made to look like MNIST's if `digit` says so.
///
/// # Errors
///
/// It is neither PNG nor JPEG, damaged or too large; or there is no digit on it, every pixel being
/// the same.
pub fn picture(
    bytes: &[u8],
    [channels, height, width]: [usize; 3],
    digit: bool,
) -> Result<Vec<f32>, Refused> {
    let shape = Shape4::new(1, channels, height, width)?;
    Ok(predict::pixels(std::io::Cursor::new(bytes), Path::new("picture"), shape, digit)?)
}
