//! Training that is gone on with, and settings from a file.

#![cfg(feature = "bundled-mnist")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{colonnade, fail, few, run, str, succeed, text};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::tempdir;
use weights::{Contents, Tensor};

/// Weights, averages and moments, without the time that the run took.
fn tensors(run: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(run.join("state.safetensors")).expect("a state");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors: Vec<_> =
        file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    tensors.sort();
    tensors
}

/// The lines of `metrics.csv` without the column of seconds.
fn metrics(run: &Path) -> Vec<Vec<String>> {
    let file = fs::read_to_string(run.join("metrics.csv")).expect("metrics");
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut lines: Vec<Vec<String>> = file.lines().map(fields).collect();
    lines.iter_mut().for_each(|line| drop(line.remove(6)));
    lines
}

/// Two runs have left the same.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    for file in ["initial.safetensors", "model.safetensors", "steps.csv", "config.toml"] {
        assert!(fs::read(one.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}");
    }
    assert!(tensors(one) == tensors(other), "the states differ");
    assert_eq!(metrics(one), metrics(other));
}

const CHANGED: [&str; 4] = ["--augment", "shift=2", "--seed", "3"];

/// Trains on images that change from epoch to epoch.
fn train(data: &Path, out: &Path, epochs: &str, more: &[&str]) -> String {
    let args = ["train", "--quiet", "--epochs", epochs, "--data", str(data), "--out", str(out)];
    succeed(&[&args[..], &CHANGED, more].concat())
}

#[test]
fn one_epoch_and_then_another_are_two_epochs() {
    let folder = tempdir().unwrap();
    let data = few(folder.path(), 700);
    let path = |name: &str| folder.path().join(name);
    for (name, more) in [
        ("plain", &[][..]),
        ("nesterov", &["--optimizer", "nesterov", "--lr", "0.01", "--weight-decay", "0.001"]),
        ("step", &["--average", "0", "--schedule", "step", "--step-epochs", "1", "--warmup", "9"]),
    ] {
        let (straight, parts) = (path(name), path(&format!("{name}-parts")));
        let train = |out: &Path, epochs: &str| train(&data, out, epochs, more);
        let shown = train(&straight, "2");
        train(&parts, "1");
        let resumed =
            succeed(&["train", "--resume", str(&parts), "--epochs", "2", "--threads", "1"]);
        assert_eq!(resumed, shown, "{name}");
        assert_same(&straight, &parts);
        let config = fs::read_to_string(parts.join("config.json")).unwrap();
        assert!(config.contains("\"epochs\": 2"), "{config}");
    }
    let parts = path("plain-parts");
    fail(&["train", "--resume", str(&parts)], 1, &["all of its 2 epochs are done", "--epochs"]);
    let args = ["train", "--resume", str(&parts), "--epochs", "3", "--seed", "4", "--lr", "0.1"];
    fail(&args, 2, &["--lr, --seed belong to the run"]);
    fail(&["train", "--resume", str(&path("none"))], 1, &["there is no run in"]);
}

#[test]
fn a_damaged_state_is_replaced_by_the_one_before() {
    let folder = tempdir().unwrap();
    let data = few(folder.path(), 100);
    let (straight, out) = (folder.path().join("straight"), folder.path().join("out"));
    train(&data, &straight, "3", &[]);
    train(&data, &out, "2", &[]);
    let [state, previous, damaged] = ["state", "state.previous", "state.damaged"]
        .map(|name| out.join(format!("{name}.safetensors")));
    let (second, first) = (fs::read(&state).unwrap(), fs::read(&previous).unwrap());
    assert!(first != second);

    let stray = out.join(".state.safetensors.8388608-1-0.colonnade-part");
    let resume = |epochs: &str| {
        let _ = fs::remove_file(&damaged);
        fs::write(&stray, b"what a killed program left").unwrap();
        run(&["train", "--resume", str(&out), "--epochs", epochs, "--quiet"])
    };
    // Cut off, a bit in its header flipped, of something else, or not there at all.
    let mut flipped = second.clone();
    flipped[9] ^= 1;
    let cases =
        [Some(second[..second.len() - 1].to_vec()), Some(flipped), Some(b"no state".into())];
    for bytes in cases.into_iter().chain([None]) {
        fs::write(&previous, &first).unwrap();
        match &bytes {
            Some(bytes) => fs::write(&state, bytes).unwrap(),
            None => fs::remove_file(&state).unwrap(),
        }
        let output = resume("3");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("state.safetensors") && said.contains("going on from"), "{said}");
        assert_same(&straight, &out);
        assert_eq!(bytes, fs::read(&damaged).ok(), "it is kept");
        assert!(weights::read(&previous).is_ok());
        if cfg!(target_os = "linux") {
            assert!(!stray.exists());
        }
    }

    // A state has the settings too.
    fs::copy(&previous, &state).unwrap();
    fs::remove_file(out.join("config.toml")).unwrap();
    assert_eq!(resume("3").status.code(), Some(0));
    assert_same(&straight, &out);

    for path in [&state, &previous] {
        fs::write(path, b"no state").unwrap();
    }
    let args = ["train", "--resume", str(&out), "--epochs", "4"];
    fail(&args, 1, &["state.safetensors: this is not a safetensors file"]);
    assert_eq!(fs::read(&state).unwrap(), b"no state");
    for path in [&state, &previous] {
        fs::remove_file(path).unwrap();
    }
    fail(&args, 1, &["holds no state to go on from"]);
}

#[test]
fn numbers_of_a_state_that_nobody_counted_do_no_harm() {
    let folder = tempdir().unwrap();
    let (data, out) = (few(folder.path(), 100), folder.path().join("run"));
    train(&data, &out, "1", &["--early-stop", "2"]);
    let path = out.join("state.safetensors");
    let Contents { tensors, mut texts, .. } = weights::read(&path).unwrap();
    let mut state: Value = serde_json::from_str(&texts["state"]).unwrap();
    // The longest time that the clocks of the program can hold.
    state["seconds"] = json!(18_446_744_073_709_549_568.0_f64);
    state["best"] = json!({ "epoch": u64::MAX, "correct": 1, "images": 1, "loss": 0.0 });
    state["line"] = json!({ "loss": 0.0, "correct": u64::MAX, "images": u64::MAX });
    texts.insert("state".to_owned(), state.to_string());
    let texts = texts.iter().map(|(key, text)| (key.as_str(), text.as_str()));
    weights::safetensors::save(&path, tensors.iter().map(Tensor::parts), texts).unwrap();
    succeed(&["train", "--quiet", "--resume", str(&out), "--epochs", "3"]);
    assert_eq!(metrics(&out).len(), 1 + 3, "it did not stop early");
}

#[cfg(unix)]
#[test]
fn a_killed_training_goes_on_from_its_last_state() {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let folder = tempdir().unwrap();
    let data = few(folder.path(), 100);
    let (straight, out) = (folder.path().join("straight"), folder.path().join("out"));
    train(&data, &straight, "8", &[]);
    let args = ["train", "--quiet", "--epochs", "8", "--data", str(&data), "--out", str(&out)];
    let mut child =
        colonnade(&[&args[..], &CHANGED].concat()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !out.join("state.safetensors").exists() && started.elapsed().as_secs() < 60 {
        sleep(Duration::from_millis(1));
    }
    for wait in [3, 40, 70] {
        sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        child = colonnade(&["train", "--quiet", "--resume", str(&out)])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    }
    let status = child.wait().unwrap();
    // All may be done by then.
    let done = run(&["train", "--resume", str(&out)]);
    assert!(status.success() || text(&done.stderr).contains("are done"), "{done:?}");
    assert_same(&straight, &out);
    let left = fs::read_dir(&out).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    let parts = left.iter().filter(|name| name.to_string_lossy().ends_with("-part")).count();
    assert_eq!(parts, 0, "{left:?}");
}

#[cfg(unix)]
#[test]
fn what_ctrl_c_interrupts_is_gone_on_with_within_the_epoch() {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let folder = tempdir().unwrap();
    let (straight, parts) = (folder.path().join("straight"), folder.path().join("parts"));
    let data = few(folder.path(), 2000);
    // The learning rate falls over all steps, and small batches make many of them.
    let args = ["--data", str(&data), "--batch-size", "10", "--schedule", "cosine"];
    let more = ["--epochs", "3", "--warmup", "1epoch", "--augment", "crop=2,flip"];
    let args = [&["train"], &args[..], &more].concat();
    let shown = succeed(&[&args[..], &["--quiet", "--out", str(&straight)]].concat());

    let begun = [&args[..], &["--out", str(&parts)]].concat();
    let mut child = colonnade(&begun).stderr(Stdio::null()).spawn().expect("the program starts");
    let started = Instant::now();
    while !parts.join("initial.safetensors").exists() && started.elapsed().as_secs() < 60 {
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(50));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let resumed = run(&["train", "--resume", str(&parts)]);
    assert!(text(&resumed.stderr).contains(", from step "), "{}", text(&resumed.stderr));
    assert_eq!(text(&resumed.stdout), shown);
    assert_same(&straight, &parts);
}

#[test]
fn training_ends_early_and_keeps_the_best_weights() {
    let folder = tempdir().unwrap();
    let (data, out) = (few(folder.path(), 300), folder.path().join("run"));
    // A rate at which nothing is learned after the first epochs: the weights fall to 0 instead.
    let args = ["train", "--epochs", "40", "--optimizer", "sgd", "--lr", "0.05", "--json"];
    let more = ["--weight-decay", "8", "--average", "0", "--early-stop", "2"];
    let paths = ["--data", str(&data), "--out", str(&out)];
    let output = run(&[&args[..], &more, &paths].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    let (epoch, epochs) = (result["epoch"].as_u64().unwrap(), result["epochs"].as_u64().unwrap());
    assert_eq!((epochs, &result["stopped_early"]), (epoch + 2, &Value::Bool(true)), "{result}");
    assert_eq!(result["run"], str(&out));

    let lines = metrics(&out);
    let accuracy = |line: &Vec<String>| line[5].parse::<f64>().unwrap();
    let best = lines[1..].iter().map(accuracy).fold(0.0, f64::max);
    assert_eq!(accuracy(&lines[epoch as usize]), best);
    let weights = out.join("model.safetensors");
    let eval = succeed(&["eval", "--weights", str(&weights), "--data", str(&data), "--json"]);
    let eval: Value = serde_json::from_str(&eval).unwrap();
    assert_eq!((&eval["correct"], &eval["loss"]), (&result["correct"], &result["loss"]));

    let resume = ["train", "--resume", str(&out)];
    fail(&resume, 1, &["none of the last 2 epochs raised", "--early-stop"]);
    let more = succeed(&[&resume[..], &["--early-stop", "3", "--json", "--quiet"]].concat());
    let more: Value = serde_json::from_str(&more).unwrap();
    assert!(more["epochs"].as_u64() > Some(epochs), "{more}");
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("the folder is there");
    path
}

#[test]
fn a_file_says_the_same_as_the_flags() {
    let folder = tempdir().unwrap();
    let (flags, file) = (folder.path().join("flags"), folder.path().join("file"));
    let data = few(folder.path(), 700);
    train(&data, &flags, "1", &["--batch-size", "50", "--lr", "2e-3", "--normalize"]);
    let settings = write(
        folder.path(),
        "settings.toml",
        &format!(
            "epochs = 9\ndata = '{}'\naugment = \"shift=2\"\nseed = 3\nschedule = \"constant\"\n\
             batch-size = 50\nlr = 0.002\nnormalize = true\nquiet = true\n",
            data.display()
        ),
    );
    // A flag wins.
    let args = ["train", "--config", str(&settings), "--epochs=1", "--out", str(&file)];
    let output = run(&args);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert_same(&flags, &file);

    // So does one that takes back what the file switches on; and a run's own file will do.
    let again = folder.path().join("again");
    let own = file.join("config.toml");
    succeed(&["train", "--config", str(&own), "--normalize=false", "--out", str(&again)]);
    let text = fs::read_to_string(again.join("config.toml")).unwrap();
    let own = fs::read_to_string(own).unwrap();
    assert_eq!(text, own.replace("normalize = true", "normalize = false"));
    assert_ne!(tensors(&again), tensors(&file));
}

#[test]
fn a_file_that_makes_no_sense_says_where() {
    let folder = tempdir().unwrap();
    for (text, parts) in [
        ("epoch = 3", &["there is no setting epoch", "did you mean epochs?"][..]),
        ("batch_size = 3", &["did you mean batch-size?"]),
        ("epochs = 0", &["at least 1 is needed", "--epochs"]),
        ("model = \"alxnet\"", &["'alexnet'"]),
        ("epochs = [1]", &["epochs is of the type array", "a number"]),
        ("quiet = 3", &["true or false would fit"]),
        ("epochs = ", &["TOML parse error", "line 1"]),
        ("config = \"other.toml\"", &["there is no setting config"]),
    ] {
        let path = write(folder.path(), "settings.toml", text);
        fail(&["train", "--config", str(&path)], 2, &[&[str(&path)], parts].concat());
    }
}
