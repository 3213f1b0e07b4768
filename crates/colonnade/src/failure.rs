//! Why the program ends without having done what it was asked.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use dataset::DatasetError;
use net::NetError;
use report::ReportError;
use weights::WeightsError;

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
    WeightsFile(#[from] WeightsError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    #[error("{}: can't {action}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{}: longer than {max} bytes, which no such file is", path.display())]
    TooLong { path: PathBuf, max: u64 },
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
    #[error(
        "{} holds no state to go on from: it comes with the first epoch; train anew, with \
         another --out or after removing the folder",
        path.display()
    )]
    NoState { path: PathBuf },
    #[error(
        "{} belong{} to the run and can't be given with --resume; --epochs, --early-stop, \
         --threads, --quiet and --json can",
        flags.join(", "), if flags.len() == 1 { "s" } else { "" }
    )]
    Fixed { flags: Vec<String> },
    #[error("{}: {message}", path.display())]
    Settings { path: PathBuf, message: String },
    #[error(
        "{}: all of its {done} epochs are done; say how many there shall be with --epochs",
        path.display()
    )]
    AllDone { path: PathBuf, done: usize },
    #[error(
        "{}: none of the last {since} epochs raised the test accuracy, so that the training \
         ended; give it more with --early-stop",
        path.display()
    )]
    StoppedEarly { path: PathBuf, since: usize },
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
    #[error(
        "{}: can't read the weights: {source}; `colonnade train` leaves them as \
         model.safetensors in its run folder",
        path.display()
    )]
    NoFile { path: PathBuf, source: io::Error },
    #[error(
        "can't start {} threads: {message}; look at the limit on processes, or ask for fewer with \
         --threads",
        threads.map_or_else(|| "the".to_owned(), |threads| threads.to_string())
    )]
    Threads { threads: Option<usize>, message: String },
    #[error("{net}\nthe last good weights are in {}", weights.display())]
    Diverged { net: Box<NetError>, weights: PathBuf },
    #[error(
        "stopped after step {step}; {} are in {}; go on with `colonnade train --resume {}`",
        if *best { "the best weights" } else { "its weights" }, weights.display(), run.display()
    )]
    Interrupted { step: u64, best: bool, weights: PathBuf, run: PathBuf },
}

impl Failure {
    /// 2 for what makes no sense whatever the files hold, 130 after Ctrl-C, as a shell expects; 1
    /// otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted { .. } => ExitCode::from(130),
            Self::Fixed { .. } | Self::Settings { .. } | Self::Net(NetError::Setting { .. }) => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
