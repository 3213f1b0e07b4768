//! The libraries that ours is compared with.

use std::path::Path;
use std::process::{Command, Stdio};

/// A library with a script in `benches/peers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Peer {
    Torch,
    Ncnn,
    Onnxruntime,
    Openvino,
}

impl Peer {
    pub(super) const ALL: [Self; 4] = [Self::Torch, Self::Ncnn, Self::Onnxruntime, Self::Openvino];

    /// The Python package, which the script is named after.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch",
            Self::Ncnn => "ncnn",
            Self::Onnxruntime => "onnxruntime",
            Self::Openvino => "openvino",
        }
    }

    /// Only PyTorch trains.
    pub(super) fn has_gradients(self) -> bool {
        self == Self::Torch
    }

    /// Runs the script for `what`, `layers` or `models`; the options of the timer follow.
    pub(super) fn command(self, python: &Path, root: &Path, what: &str) -> Command {
        let mut command = Command::new(python);
        // No compiled files among the sources.
        command
            .arg("-B")
            .arg(root.join("benches/peers").join(format!("{}_{what}.py", self.name())));
        command
    }
}

/// Prints a line `package=version` for each package that can be found.
const PROBE: &str = "\
import importlib.metadata, importlib.util, sys
for name in sys.argv[1:]:
    if importlib.util.find_spec(name) is not None:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = '?'
        print(f'{name}={version}')
";

/// Which of the peers this Python has: its version, or why not.
pub(super) fn find(python: &Path, peers: &[Peer]) -> Vec<(Peer, Result<String, String>)> {
    let mut command = Command::new(python);
    command.args(["-B", "-c", PROBE, "numpy"]).args(peers.iter().map(|peer| peer.name()));
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(format!("{} fails: {}", python.display(), output.status)),
        Err(error) => Err(format!("{} cannot be run: {error}", python.display())),
    };
    let found = |peer: &Peer| (*peer, output.clone().and_then(|text| version(&text, *peer)));
    peers.iter().map(found).collect()
}

/// The version in the output of [`PROBE`].
fn version(output: &str, peer: Peer) -> Result<String, String> {
    let version = |package: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix('='));
        line.map(str::to_owned)
            .ok_or_else(|| format!("this Python has no package {package} (--python names another)"))
    };
    let found = version(peer.name())?;
    version("numpy").map(|_| found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Peer, find, version};

    #[test]
    fn versions() {
        let output = "numpy=2.0\ntorch=2.7.1+cpu\nonnxruntime=1.2\n";
        assert_eq!(version(output, Peer::Torch), Ok("2.7.1+cpu".to_owned()));
        assert!(version(output, Peer::Ncnn).is_err_and(|why| why.contains("no package ncnn")));
        let without = version("torch=2.7.1", Peer::Torch);
        assert!(without.is_err_and(|why| why.contains("no package numpy")));
    }

    #[test]
    fn without_python_nothing_is_found() {
        let found = find(Path::new("no-such-python"), &Peer::ALL);
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|(_, why)| why.as_ref().is_err_and(|why| why.contains("run"))));
    }
}
