//! Why the program ends without having done what it was asked.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use dataset::DatasetError;
use net::NetError;
use report::ReportError;

use crate::data::{NotFetched, SourceError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    #[error("{}: can't {action}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{}: {message}", path.display())]
    Weights { path: PathBuf, message: String },
    #[error(
        "{} already holds a run; name another folder with --out, or remove it first",
        path.display()
    )]
    RunExists { path: PathBuf },
    #[error("there is no run in {}: name the folder that `colonnade train` left", path.display())]
    NoRun { path: PathBuf },
    #[error("{} holds no trained weights yet; they come with the first epoch", path.display())]
    NoWeights { path: PathBuf },
    #[error("{}: {message}", path.display())]
    Run { path: PathBuf, message: String },
    #[error(
        "the network takes images of shape {run:?}, those of the data have {data:?}; name the \
         data that it was trained on with --data"
    )]
    OtherImages { run: [usize; 3], data: [usize; 3] },
    #[error("{}: can't read the picture: {message}", path.display())]
    Picture { path: PathBuf, message: String },
    #[error("{failed} of {all} pictures could not be read")]
    SomePictures { failed: usize, all: usize },
    #[error(
        "{} of the gradients differ by more than {limit:e}: {}", parameters.len(),
        parameters.join(", ")
    )]
    Gradients { limit: f64, parameters: Vec<String> },
    #[error("can't start {threads} threads: {message}")]
    Threads { threads: usize, message: String },
    #[error("{net}\nthe last good weights are in {}", weights.display())]
    Diverged { net: Box<NetError>, weights: PathBuf },
    #[error("stopped after step {step}; its weights are in {}", weights.display())]
    Interrupted { step: u64, weights: PathBuf },
}

impl Failure {
    /// 130 after Ctrl-C, as a shell expects; 1 otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted { .. } => ExitCode::from(130),
            _ => ExitCode::FAILURE,
        }
    }
}
