//! The timers at work, in turn.

use std::process::Command;

use super::format::Format;
use super::peers::Peer;
use super::row::{Numbers, Row};
use super::server::Server;
use crate::paint::Paint;

/// A timer at work, with the rows of what it was last asked for.
pub(super) struct Runner {
    pub(super) name: &'static str,
    server: Server,
    pub(super) rounds: Vec<Row>,
}

impl Runner {
    fn start(
        name: &'static str,
        command: Command,
        format: &'static Format,
    ) -> Result<Self, String> {
        Ok(Self { name, server: Server::start(command, format)?, rounds: Vec::new() })
    }

    pub(super) fn numbers(&self) -> Vec<Option<Numbers>> {
        self.rounds.iter().map(|row| row.numbers).collect()
    }
}

/// Says which peer does not run, and why.
pub(super) fn skipped(peer: Peer, why: &str, paint: Paint) {
    println!("{}", paint.yellow(&format!("skipped {}: {why}", peer.name())));
}

/// Starts ours and the peers, and waits until they are ready. A peer that fails is skipped.
///
/// # Errors
///
/// Ours fails.
pub(super) fn start(
    ours: Command,
    peers: Vec<(Peer, Command)>,
    format: &'static Format,
    paint: Paint,
) -> Result<Vec<Runner>, String> {
    let mut runners = vec![Runner::start("ours", ours, format)?];
    let started: Vec<(Peer, Result<Runner, String>)> = peers
        .into_iter()
        .map(|(peer, command)| (peer, Runner::start(peer.name(), command, format)))
        .collect();
    runners[0].server.ready().map_err(|why| format!("our timer {why}"))?;
    for (peer, runner) in started {
        let ready = runner.and_then(|mut runner| {
            runner.server.ready().map_err(|why| format!("its script {why}"))?;
            Ok(runner)
        });
        match ready {
            Ok(runner) => runners.push(runner),
            Err(why) => skipped(peer, &why, paint),
        }
    }
    Ok(runners)
}

/// So many rounds of one layer or network, the libraries in turn.
///
/// # Errors
///
/// A timer fails, or the libraries don't run the same network.
pub(super) fn time(key: &str, rounds: u16, runners: &mut [Runner]) -> Result<(), String> {
    for runner in runners.iter_mut() {
        runner.rounds.clear();
    }
    for _ in 0..rounds {
        for runner in runners.iter_mut() {
            let row = runner.server.time(key);
            let row = row.map_err(|why| format!("{key}: the timer of {} {why}", runner.name));
            runner.rounds.push(row?);
        }
    }
    let parameters = |runner: &Runner| runner.rounds[0].parameters().map(str::to_owned);
    let ours = parameters(&runners[0]);
    match runners.iter().find(|runner| parameters(runner) != ours) {
        None => Ok(()),
        Some(other) => Err(format!("{key}: {} runs another network than ours", other.name)),
    }
}
