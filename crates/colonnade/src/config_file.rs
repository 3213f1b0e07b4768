//! Settings from a file: `train --config FILE`, and those of a run that is resumed.
//!
//! A key of the file becomes the flag of its name, before those of the command line, and the whole
//! is parsed once more: a file can say what flags can, and is checked as they are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::args::Args;
use crate::failure::Failure;
use crate::files::{MAX_TEXT, RunFolder, read_text};
use crate::near::did_you_mean;
use crate::state;

/// Flags that a run can be resumed with; the others are those of the run.
const NEW: [&str; 5] = ["epochs", "early-stop", "threads", "quiet", "json"];
/// Flags that a file can't hold.
const OUTSIDE: [&str; 3] = ["config", "resume", "help"];

/// The command line, with the settings of the file that it names.
///
/// Ends the program where the command line itself makes no sense, as well as for `--help`.
pub(crate) fn parse(line: Vec<OsString>) -> Result<Args, Failure> {
    let mut command = Args::command();
    let matches = command.try_get_matches_from_mut(&line).unwrap_or_else(|e| e.exit());
    let from_file = match matches.subcommand() {
        Some(("train", given)) => {
            let train = command.find_subcommand("train").expect("it was parsed");
            match settings_file(given, train)? {
                Some((file, text)) => Some((flags(&file, &text, given, train)?, file)),
                None => None,
            }
        }
        _ => None,
    };
    let Some((flags, file)) = from_file else {
        return Args::from_arg_matches(&matches).map_err(|e| e.exit());
    };
    // The name of the program and `train`, then the file, then what was given.
    let (first, given) = line.split_at(2);
    let line = first.iter().cloned().chain(flags).chain(given.iter().cloned());
    let parsed = Args::command().try_get_matches_from(line);
    parsed.and_then(|matches| Args::from_arg_matches(&matches)).map_err(|error| {
        let text = error.to_string();
        let text = text.split("\n\nFor more information").next().unwrap_or(&text);
        Failure::Settings { path: file, message: text.trim_start_matches("error: ").to_owned() }
    })
}

/// The file that the command line names, if it does, and its text.
fn settings_file(
    given: &ArgMatches,
    train: &Command,
) -> Result<Option<(PathBuf, Vec<u8>)>, Failure> {
    let read = |file: &Path| Ok(Some((file.to_owned(), read_text(file, "read the settings")?)));
    let Some(run) = given.get_one::<PathBuf>("resume") else {
        return given.get_one::<PathBuf>("config").map_or(Ok(None), |file| read(file));
    };
    let kept = |flag: &str| !NEW.contains(&flag) && !OUTSIDE.contains(&flag);
    let flags = train.get_arguments().filter(|arg| was_given(given, arg));
    let fixed: Vec<String> = flags
        .filter_map(|arg| arg.get_long())
        .filter(|flag| kept(flag))
        .map(|flag| format!("--{flag}"))
        .collect();
    if !fixed.is_empty() {
        return Err(Failure::Fixed { flags: fixed });
    }
    let folder = RunFolder::open(run.clone());
    match (folder.config().exists(), folder.settings().exists()) {
        (_, true) => read(&folder.settings()),
        (true, false) => match state::settings(&folder) {
            Some(settings) => Ok(Some(settings)),
            None => Err(Failure::NoState { path: run.clone() }),
        },
        (false, false) => Err(Failure::NoRun { path: run.clone() }),
    }
}

fn was_given(given: &ArgMatches, arg: &clap::Arg) -> bool {
    given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// The settings of the file as flags, without those that were given on the command line.
fn flags(
    file: &Path,
    text: &[u8],
    given: &ArgMatches,
    train: &Command,
) -> Result<Vec<OsString>, Failure> {
    let flags = flags_of(text, train, |arg| was_given(given, arg));
    flags.map_err(|message| Failure::Settings { path: file.to_owned(), message })
}

/// Whether `train` would take a file of this text.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    if text.len() as u64 > MAX_TEXT {
        return Err(format!("longer than {MAX_TEXT} bytes"));
    }
    let mut command = Args::command();
    command.build();
    let train = command.find_subcommand("train").expect("there is such a command");
    let flags = flags_of(text, train, |_| false)?;
    let line = ["colonnade".into(), "train".into()].into_iter().chain(flags);
    let parsed = Args::command().try_get_matches_from(line);
    let args = parsed.and_then(|matches| Args::from_arg_matches(&matches));
    args.map(drop).map_err(|error| error.to_string())
}

/// The settings of a text as flags, without those to be left out; or what is wrong with it.
fn flags_of(
    text: &[u8],
    train: &Command,
    left_out: impl Fn(&clap::Arg) -> bool,
) -> Result<Vec<OsString>, String> {
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
    let known = || train.get_arguments().filter(|arg| !OUTSIDE.contains(&name(arg)));
    let mut flags = Vec::new();
    for (key, value) in table {
        let Some(arg) = known().find(|arg| name(arg) == key) else {
            let hint = did_you_mean(&key, known().map(name));
            return Err(format!(
                "there is no setting {key}{hint}; `colonnade train --help` lists them"
            ));
        };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                value.to_string()
            }
            other => {
                let kind = other.type_str();
                return Err(format!(
                    "{key} is of the type {kind}; a text, a number, true or false would fit"
                ));
            }
        };
        if left_out(arg) {
            continue;
        }
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            match value.as_str() {
                "true" => flags.push(format!("--{key}").into()),
                "false" => {}
                _ => return Err(format!("{key} is {value}; true or false would fit")),
            }
        } else {
            flags.push(format!("--{key}={value}").into());
        }
    }
    Ok(flags)
}

/// What a flag is called, without its dashes.
fn name(arg: &clap::Arg) -> &str {
    arg.get_long().unwrap_or_default()
}
