//! Trainings that are killed at any moment, and gone on with.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;
use super::program::{PREVIOUS_STATE, Program, STATE, strays, tensors, text};

/// Epochs of a training that is killed.
const EPOCHS: usize = 6;
/// The latest that a kill comes after a start.
const LATEST: Duration = Duration::from_millis(900);
/// How long after a temporary file has appeared a kill comes at most.
const WHILE_WRITING: Duration = Duration::from_millis(12);

/// Kills so many trainings with SIGKILL, every other one while a file is being written, and goes
/// on with each.
///
/// After every kill the newest checkpoint, or the one before, holds the same bytes as a training
/// that nobody disturbed had after the same epoch; at most one temporary file is left; and the next
/// start removes it.
pub(super) fn run(program: &Program, kills: u32, seed: u64) -> Result<Outcome, String> {
    let mut random = Random(seed);
    let reference = Reference::make(program)?;
    let mut killed = Killed::default();
    let mut round = 0;
    while killed.all < kills {
        round += 1;
        let folder = program.scratch().join(format!("killed-{round}"));
        training(program, &folder, &reference, kills, &mut killed, &mut random)?;
        let _ = fs::remove_dir_all(&folder);
    }
    let Killed { all, writing, previous, stray } = killed;
    Ok(Outcome::Held(format!(
        "{all} kills (trainings begun: {round}), {writing} of them while a file was written; {previous} \
         times the checkpoint before the newest was needed, {stray} times a temporary file was left"
    )))
}

/// How many kills there were, and what they met.
#[derive(Default)]
struct Killed {
    all: u32,
    writing: u32,
    previous: u32,
    stray: u32,
}

/// What a training that nobody disturbs leaves after each epoch.
struct Reference {
    /// The tensors of the state, by epochs.
    states: Vec<Vec<u8>>,
    /// The weights at the end, as a whole file.
    weights: Vec<u8>,
}

impl Reference {
    fn make(program: &Program) -> Result<Self, String> {
        let mut states = Vec::new();
        for epochs in 1..=EPOCHS {
            let folder = program.scratch().join(format!("straight-{epochs}"));
            let out = text(&folder);
            program.succeed(&Program::train(out, &epochs.to_string()))?;
            let state = tensors(&folder.join(STATE));
            states.push(state.ok_or_else(|| format!("{out} has no state"))?);
        }
        if states.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two epochs in a row left the same state".to_owned());
        }
        let last = program.scratch().join(format!("straight-{EPOCHS}"));
        let weights = fs::read(last.join(WEIGHTS)).map_err(|error| error.to_string())?;
        Ok(Self { states, weights })
    }

    /// After how many epochs the state at `path` was written, if it is a whole one.
    fn epochs(&self, path: &Path) -> Option<usize> {
        let state = tensors(path)?;
        self.states.iter().position(|good| *good == state).map(|epoch| epoch + 1)
    }
}

const WEIGHTS: &str = "model.safetensors";

/// One training, killed until it is done or there are kills enough.
fn training(
    program: &Program,
    folder: &Path,
    reference: &Reference,
    kills: u32,
    killed: &mut Killed,
    random: &mut Random,
) -> Result<(), String> {
    let (out, epochs) = (text(folder), EPOCHS.to_string());
    let mut done = 0;
    while done < EPOCHS {
        let args = match done {
            0 => Program::train(out, &epochs),
            _ => Program::resume(out, &epochs),
        };
        if killed.all >= kills {
            program.succeed(&args)?;
            done = EPOCHS;
        } else if attempt(program, &args, folder, killed, random)? {
            done =
                after_kill(folder, reference, killed, done).map_err(|e| format!("{out}: {e}"))?;
            if done == 0 {
                // Killed before its first checkpoint: nothing to go on with.
                let _ = fs::remove_dir_all(folder);
            }
            continue;
        } else {
            done = EPOCHS;
        }
        let left = strays(folder);
        if !left.is_empty() {
            return Err(format!("{out}: the end left {left:?}"));
        }
    }
    // The state is written last: with it the weights are there.
    let weights = fs::read(folder.join(WEIGHTS)).map_err(|error| format!("{out}: {error}"))?;
    match weights == reference.weights {
        true => Ok(()),
        false => Err(format!("{out}: the weights differ from those of an undisturbed run")),
    }
}

/// Looks at what a kill has left of a training that had a checkpoint of epoch `done`; the epoch
/// that it has now.
fn after_kill(
    folder: &Path,
    reference: &Reference,
    killed: &mut Killed,
    done: usize,
) -> Result<usize, String> {
    let left = strays(folder);
    killed.stray += u32::from(!left.is_empty());
    if left.len() > 1 {
        return Err(format!("a kill left {left:?}"));
    }
    let mut found = reference.epochs(&folder.join(STATE));
    if found.is_none() {
        found = reference.epochs(&folder.join(PREVIOUS_STATE));
        killed.previous += u32::from(found.is_some());
    }
    match found {
        None if done > 0 => Err(format!("the checkpoint of epoch {done} is lost")),
        Some(epoch) if epoch < done => Err(format!("of epoch {done}, epoch {epoch} is left")),
        found => Ok(found.unwrap_or(0)),
    }
}

/// Starts a training and kills it; `false` if it ended before.
fn attempt(
    program: &Program,
    args: &[&str],
    folder: &Path,
    killed: &mut Killed,
    random: &mut Random,
) -> Result<bool, String> {
    let mut child = program.command(args).spawn().map_err(|error| error.to_string())?;
    let latest = random.up_to(LATEST);
    let writing = killed.all % 2 == 1;
    let start = Instant::now();
    let mut met = false;
    while start.elapsed() < if writing { LATEST * 4 } else { latest } {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            break;
        }
        if writing && !strays(folder).is_empty() {
            thread::sleep(random.up_to(WHILE_WRITING));
            met = true;
            break;
        }
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.code().is_some() {
        let said = super::program::said(&output);
        return if output.status.success() { Ok(false) } else { Err(format!("{args:?}: {said}")) };
    }
    killed.all += 1;
    killed.writing += u32::from(met);
    Ok(true)
}

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        most.mul_f64(((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
