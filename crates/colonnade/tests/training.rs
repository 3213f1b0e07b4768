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

/// `eval --json` of weights in a file.
fn eval(model: &str, weights: &Path, data: &Path) -> Output {
    let args = ["eval", "--model", model, "--json", "--weights", weights.to_str().unwrap()];
    run(&[&args[..], &["--data", data.to_str().unwrap()]].concat())
}

#[test]
fn weights_come_from_numpy_too_or_say_all_that_is_wrong() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let data = few(folder.path(), 20);
    let output = train(&path("run"), &["--quiet", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ours = path("run").join("model.safetensors");
    let contents = weights::read(&ours).unwrap();
    assert_eq!(contents.texts["model"], "simple-convnet");
    weights::npz::save(path("model.npz"), contents.tensors.iter().map(Tensor::parts)).unwrap();
    let expected = eval("simple-convnet", &ours, &data);
    let found = eval("simple-convnet", &path("model.npz"), &data);
    assert!(expected.status.success() && expected.stdout == found.stdout, "{found:?}");

    // A name, and a shape.
    let mut tensors = contents.tensors;
    let names = [&tensors[0].name, &tensors[1].name].map(String::clone);
    tensors[0].name = "features.0.weight".to_owned();
    tensors[1].dims.push(1);
    weights::npz::save(path("bad.npz"), tensors.iter().map(Tensor::parts)).unwrap();
    let error = text(&eval("simple-convnet", &path("bad.npz"), &data).stderr);
    for part in [
        "bad.npz",
        &format!("{} is missing", names[0]),
        "features.0.weight is not part of the network",
        &format!("{} has the shape", names[1]),
        "whose networks are alexnet-torchvision, vgg11, vgg13, vgg16, vgg19",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(error.matches(" is missing").count(), 1, "{error}");
}

/// VGG as it is for the images of MNIST, under both kinds of names.
#[test]
fn weights_come_under_torchvisions_names() {
    let folder = tempdir().unwrap();
    let data = few(folder.path(), 5);
    let net = Model::Vgg11.plan::<f32>(Some([1, 28, 28]), Some(10)).init(Init::Zeros);
    let net = net.build(0).unwrap();
    let names = Network::Vgg11.names();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for parameter in net.parameters() {
        let (count, outputs) = (parameter.value().len(), parameter.dims()[0]);
        let scale = (3.0 * outputs as f32 / count as f32).sqrt().min(0.1);
        let values = (0..count).map(|i| scale * ((i * 7919 % 1009) as f32 / 504.0 - 1.0));
        let values: Vec<f32> = values.collect();
        let (name, _) = names.iter().find(|(_, ours)| ours == parameter.name()).unwrap();
        let dims = || parameter.dims().to_vec();
        theirs.push(Tensor::new(name, dims(), values.clone()).unwrap());
        ours.push(Tensor::new(parameter.name(), dims(), values).unwrap());
    }
    let file = folder.path().join("vgg");
    weights::safetensors::save(&file, ours.iter().map(Tensor::parts), []).unwrap();
    let expected = eval("vgg11", &file, &data);
    weights::safetensors::save(&file, theirs.iter().map(Tensor::parts), []).unwrap();
    let found = eval("vgg11", &file, &data);
    assert!(expected.status.success() && expected.stdout == found.stdout, "{found:?}");
    let error = text(&eval("vgg13", &file, &data).stderr);
    assert!(error.contains("features.3.weight is not part of the network"), "{error}");
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
