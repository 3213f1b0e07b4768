//! Whole networks: ours and those of the peers.

use super::format::MODELS;
use super::peers::Peer;
use super::table::Table;
use super::{Session, ours, runner};

/// The networks of the model timers and their usual batches.
const NETWORKS: [(&str, u16); 4] =
    [("simple-convnet", 100), ("lenet5", 100), ("deep-convnet", 100), ("alexnet", 16)];

/// What is done with which batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Train,
    InferBatch,
    InferOne,
}

impl Group {
    pub(super) const ALL: [Self; 3] = [Self::Train, Self::InferBatch, Self::InferOne];

    pub(super) const fn mode(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::InferBatch | Self::InferOne => "infer",
        }
    }

    /// What it is, in a heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Train => "A training step",
            Self::InferBatch => "Inference of a batch",
            Self::InferOne => "Inference of one image",
        }
    }

    /// Whether rows of this mode and batch belong to it.
    pub(super) fn includes(self, mode: &str, batch: &str) -> bool {
        mode == self.mode() && (self == Self::InferOne) == (mode == "infer" && batch == "1")
    }

    fn batch(self, usual: u16) -> u16 {
        if self == Self::InferOne { 1 } else { usual }
    }
}

/// The networks of these names, all if there are none.
///
/// # Errors
///
/// There is no such network.
pub(super) fn chosen(only: &[String]) -> Result<Vec<(&'static str, u16)>, String> {
    let names = NETWORKS.map(|(name, _)| name);
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("no network is called {unknown}; they are {}", names.join(", ")));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    Ok(NETWORKS.into_iter().filter(|(name, _)| wanted(name)).collect())
}

impl Session<'_> {
    /// Times one group of networks; says whether our results were right, and gives the lines of
    /// CSV.
    pub(super) fn compare_models(
        &self,
        group: Group,
        networks: &[(&'static str, u16)],
    ) -> Result<(bool, String), String> {
        let (threads, rounds) = (self.options.threads(), self.options.runs);
        let title = format!("== {}, threads: {threads}, rounds: {rounds}", group.title());
        println!("{}", self.paint.bold(&title));
        let mut command = ours(self.workspace, "run", "models");
        command.arg("--");
        let with_options = |mut command: std::process::Command| {
            command.args(["--threads", &threads.to_string(), "--runs", "1", "--serve"]);
            command
        };
        let mut peers = Vec::new();
        for (peer, found) in self.found {
            match found {
                Ok(_) if !peer.runs_networks() => {}
                Ok(_) if group == Group::Train && !peer.has_gradients() => {
                    runner::skipped(*peer, "it does not train", self.paint);
                }
                Ok(_) => {
                    let script = peer.command(&self.options.python, &self.workspace.root, "models");
                    peers.push((*peer, with_options(script)));
                }
                Err(why) => runner::skipped(*peer, why, self.paint),
            }
        }
        let mut runners = runner::start(with_options(command), peers, &MODELS, self.paint)?;
        let labels: Vec<String> = networks
            .iter()
            .map(|&(name, usual)| format!("{name}, {}", self.batch(group, usual)))
            .collect();
        let mut table =
            Table::new(&MODELS, &runners, labels.iter().map(String::as_str), self.paint);
        table.header();
        let mut csv = String::new();
        for (&(name, usual), label) in networks.iter().zip(&labels) {
            let key = format!("{name},{},{}", group.mode(), self.batch(group, usual));
            runner::time(&key, rounds, &mut runners)?;
            for line in table.row(label, &runners) {
                csv += &(line + "\n");
            }
        }
        Ok((table.summary(), csv))
    }

    fn batch(&self, group: Group, usual: u16) -> u16 {
        self.options.batch.unwrap_or(group.batch(usual))
    }
}

impl Peer {
    /// ncnn has a script for layers alone.
    fn runs_networks(self) -> bool {
        self != Self::Ncnn
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, chosen};

    #[test]
    fn networks_by_name() {
        assert_eq!(chosen(&[]).map(|networks| networks.len()), Ok(4));
        assert_eq!(chosen(&["alexnet".to_owned()]), Ok(vec![("alexnet", 16)]));
        assert!(chosen(&["vgg".to_owned()]).is_err_and(|why| why.contains("simple-convnet")));
    }

    #[test]
    fn every_row_has_one_group() {
        for (mode, batch, group) in [
            ("train", "1", Group::Train),
            ("train", "100", Group::Train),
            ("infer", "1", Group::InferOne),
            ("infer", "16", Group::InferBatch),
        ] {
            let homes: Vec<_> =
                Group::ALL.into_iter().filter(|group| group.includes(mode, batch)).collect();
            assert_eq!(homes, [group]);
        }
    }
}
