//! The program as its users run it.

mod common;

use std::fs;
use std::path::Path;

use common::{run, text};
use serde_json::{Value, json};
use tempfile::tempdir;

#[test]
fn bad_arguments_and_files_are_errors_that_say_what_to_do() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("not.safetensors"), b"not a safetensors file").unwrap();
    let (missing, not, empty) = (path("missing"), path("not.safetensors"), path("empty"));
    fs::create_dir(&empty).unwrap();
    for (args, expected) in [
        (&["train", "--data", &empty][..], "train-images"),
        (&["train", "--epochs", "0"], "at least 1 is needed"),
        (&["train", "--threads", "0"], "at least 1 is needed"),
        (&["train", "--model", "no-such"], "simple-convnet"),
        #[cfg(feature = "bundled-mnist")]
        (&["train", "--lr=-1", "--out", &missing], "the learning rate is -1"),
        #[cfg(feature = "bundled-mnist")]
        (&["train", "--model", "alexnet", "--out", &missing], "layer pool2 does not take images"),
        #[cfg(feature = "bundled-mnist")]
        (&["eval", "--weights", &missing], "`colonnade train` leaves them as model.safetensors"),
        #[cfg(feature = "bundled-mnist")]
        (&["eval", "--weights", &not], "not a safetensors file"),
    ] {
        let output = run(args);
        assert!(!output.status.success(), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{args:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    assert!(!Path::new(&missing).exists(), "a bad setting makes no folder");
    assert!(!not.is_empty());
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The help of a command and all below it, each with an example at its end.
fn check_help(command: &[&str]) -> usize {
    let output = run(&[command, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{command:?}");
    let help = text(&output.stdout);
    let examples = help.split_once("\nExample").map_or("", |(_, examples)| examples);
    assert!(!examples.contains("Options:"), "{command:?}: the example comes last");
    let example = ["colonnade"].iter().chain(command).copied().collect::<Vec<_>>().join(" ");
    assert!(examples.contains(&example), "{command:?}: {help}");
    let below = commands(&help);
    1 + below.iter().map(|name| check_help(&[command, &[name]].concat())).sum::<usize>()
}

#[test]
fn every_help_ends_with_an_example() {
    assert_eq!(check_help(&[]), 14, "the program, its ten commands, and three of data");
}

#[test]
fn a_name_that_is_nearly_right_is_suggested_and_misuse() {
    for (args, expected) in [
        (&["trian"][..], "'train'"),
        (&["data", "ftech"], "'fetch'"),
        (&["train", "--epoch", "3"], "'--epochs'"),
        (&["train", "--model", "lenet-5"], "'lenet5'"),
        (&["summary", "--model", "alxnet"], "'alexnet'"),
        (&["train", "--optimizer", "addam"], "'adam'"),
        (&["train", "--schedule", "cosin"], "'cosine'"),
        (&["train", "--augment", "flp"], "did you mean flip?"),
        (&["completions", "bsh"], "'bash'"),
    ] {
        let output = run(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn exit_codes_tell_success_failure_and_misuse() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let missing = path("missing");
    for (args, code) in [
        (&["--version"][..], 0),
        (&["summary"], 0),
        (&["data", "list"], 0),
        (&["completions", "zsh"], 0),
        (&["report", "--run", &missing], 1),
        (&["train", "--resume", &missing], 1),
        (&["train", "--config", &missing], 1),
        (&["train", "--data", &missing], 1),
        (&[], 2),
        (&["no-such"], 2),
        (&["train", "--warmup", "soon"], 2),
        (&["train", "--resume", &missing, "--config", &missing], 2),
        (&["train", "--resume", &missing, "--seed", "3", "--lr", "1"], 2),
        #[cfg(feature = "bundled-mnist")]
        (&["train", "--lr=-1", "--out", &missing], 2),
        #[cfg(feature = "bundled-mnist")]
        (&["train", "--weight-decay=-1", "--out", &missing], 2),
        #[cfg(feature = "bundled-mnist")]
        (&["train", "--schedule", "step", "--step-factor", "0", "--out", &missing], 2),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn completions_know_commands_flags_and_values() {
    for (shell, parts) in [
        ("bash", &["complete -F", "--early-stop", "simple-convnet", "fashion-mnist"][..]),
        ("zsh", &["#compdef colonnade", "--early-stop", "simple-convnet"]),
        ("fish", &["complete -c colonnade", "early-stop", "simple-convnet"]),
        ("elvish", &["early-stop"]),
        ("powershell", &["early-stop"]),
    ] {
        let script = text(&run(&["completions", shell]).stdout);
        for part in parts {
            assert!(script.contains(part), "{shell}: {part}");
        }
    }
}

#[test]
fn the_summary_counts_parameters_and_multiply_adds() {
    let output = run(&["summary", "--model", "simple-convnet"]);
    let table = text(&output.stdout);
    for part in ["(30, 24, 24)", "432,100", "433,890", "865,000"] {
        assert!(table.contains(part), "{table}");
    }
    let output = run(&["summary", "--model", "alexnet"]);
    let table = text(&output.stdout);
    for part in ["(3, 227, 227)", "conv 5x5, 256 filters, 2 groups", "60,965,224"] {
        assert!(table.contains(part), "{table}");
    }
    let output = run(&["summary", "--model", "alexnet", "--json"]);
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table["parameters"], 60_965_224);
    assert_eq!(table["input"], json!([3, 227, 227]));
    let layers = table["layers"].as_array().unwrap();
    let sum = layers.iter().map(|layer| layer["multiply_adds"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(table["multiply_adds"], sum);
    assert_eq!(layers[0]["output"], json!([96, 55, 55]));
}
