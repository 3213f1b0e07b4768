//! Training as users of the program do it.

#![cfg(feature = "bundled-mnist")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{colonnade, few, run, text};
use net::Init;
use net::models::Model;
use tempfile::tempdir;
use weights::Tensor;
use weights::torchvision::Network;

/// Trains for one epoch on the first images.
fn train(out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().expect("a plain path");
    let mut args = vec!["train", "--epochs", "1", "--limit", "1500", "--out", out];
    args.extend(more);
    run(&args)
}

#[test]
fn training_leaves_a_run_folder_that_eval_reads_back() {
    let folder = tempdir().unwrap();
    let first = folder.path().join("first");
    let output = train(&first, &["--seed", "7", "--threads", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let accuracy = text(&output.stdout);
    assert!(accuracy.starts_with("accuracy 0."), "{accuracy}");
    assert!(accuracy.trim_end().ends_with("/10000)"), "{accuracy}");
    assert_eq!(accuracy.lines().count(), 1);
    // Neither bar nor colour where standard error is not a terminal; a line per epoch.
    let progress = text(&output.stderr);
    assert!(progress.contains("epoch  1/1") && !progress.contains('\u{1b}'), "{progress}");

    for file in [
        "initial.safetensors",
        "model.safetensors",
        "state.safetensors",
        "metrics.csv",
        "steps.csv",
        "config.json",
        "config.toml",
    ] {
        assert!(first.join(file).is_file(), "{file}");
    }
    assert_eq!(fs::read_dir(&first).unwrap().count(), 7, "no stray file");
    let metrics = fs::read_to_string(first.join("metrics.csv")).unwrap();
    assert_eq!(metrics.lines().count(), 2, "{metrics}");
    let config = fs::read_to_string(first.join("config.json")).unwrap();
    assert!(config.contains("\"seed\": 7") && config.contains("\"simple-convnet\""), "{config}");

    let weights = first.join("model.safetensors");
    let weights = weights.to_str().unwrap();
    let eval = run(&["eval", "--model", "simple-convnet", "--weights", weights]);
    assert_eq!(text(&eval.stdout), accuracy);
    let eval = run(&["eval", "--weights", weights, "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
    assert_eq!(result["images"], 10_000);
    let correct = format!("({}/10000)", result["correct"]);
    assert!(accuracy.contains(&correct) && result["loss"].is_f64(), "{result}");

    // Another number of threads, the same bytes; another seed, others.
    let second = folder.path().join("second");
    assert!(train(&second, &["--seed", "7", "--threads", "2", "--quiet"]).status.success());
    let third = folder.path().join("third");
    assert!(train(&third, &["--seed", "8", "--quiet"]).status.success());
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert_eq!(model(&first), model(&second));
    assert_ne!(model(&first), model(&third));

    // A folder that holds a run is not overwritten.
    let again = train(&first, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("already holds a run"), "{}", text(&again.stderr));
    assert_eq!(model(&first), model(&second));
}

#[test]
fn diverging_training_names_the_step_and_leaves_good_weights() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let output = train(&out, &["--optimizer", "sgd", "--lr", "1e30"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("the loss of step ") && error.contains("initial.safetensors"),
        "{error}"
    );

    let weights = out.join("initial.safetensors");
    let eval = run(&["eval", "--weights", weights.to_str().unwrap()]);
    assert!(eval.status.success(), "{}", text(&eval.stderr));
    assert!(!out.join("model.safetensors").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_step_and_keeps_its_weights() {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let args = ["train", "--epochs", "1000", "--out", out.to_str().unwrap()];
    let mut child = colonnade(&args).stderr(Stdio::piped()).spawn().expect("the program starts");
    let begun = Instant::now();
    // Written just before the program listens and the first step begins.
    while !out.join("initial.safetensors").exists() && begun.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(500));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait().map(|status| (status, child.stderr.take()));
    let (status, stderr) = output.unwrap();
    let error = std::io::read_to_string(stderr.unwrap()).unwrap();
    assert_eq!(status.code(), Some(130), "{error}");
    assert!(error.contains("stopped after step "), "{error}");
    let again = format!("go on with `colonnade train --resume {}`", out.display());
    assert!(error.contains(&again), "{error}");

    let weights = out.join("model.safetensors");
    let eval = run(&["eval", "--weights", weights.to_str().unwrap()]);
    assert!(eval.status.success(), "{}", text(&eval.stderr));
}

#[test]
fn weights_of_another_network_are_listed_one_by_one() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let bytes = 1.0_f32.to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &bytes);
    let file = safetensors::serialize([("conv1.bias", view.unwrap())], None).unwrap();
    fs::write(&path, file).unwrap();
    let output = run(&["eval", "--weights", path.to_str().unwrap()]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for part in ["conv1.weight is missing", "conv1.bias has the shape [1]", "affine2.bias"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_network_brings_settings_that_the_command_line_overrides() {
    let folder = tempdir().unwrap();
    let config = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let mut args = vec!["--model", "lenet5", "--quiet"];
        args.extend(more);
        let output = train(&out, &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read_to_string(out.join("config.json")).unwrap()
    };
    let own = config("own", &[]);
    for part in ["\"adam\"", "\"learning_rate\": 0.004", "\"linear\"", "\"average\": 0.999"] {
        assert!(own.contains(part), "{own}");
    }
    let said = ["--lr", "0.1", "--optimizer", "sgd", "--schedule", "constant", "--average", "0"];
    let other = config("other", &said);
    for part in ["\"sgd\"", "\"learning_rate\": 0.1", "\"constant\"", "\"average\": 0.0"] {
        assert!(other.contains(part), "{other}");
    }
}
