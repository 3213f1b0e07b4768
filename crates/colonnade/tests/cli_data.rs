//! `colonnade data` and `--data`, as users run them.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::thread;

use common::{colonnade, text};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// Runs with data sets fetched to, and looked for in, `home`.
fn run(home: &Path, args: &[&str]) -> Output {
    let mut command = colonnade(args);
    command.env("COLONNADE_DATA", home);
    for proxy in ["http_proxy", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.output().expect("the program starts")
}

fn testdata(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images").join(name)
}

/// Two classes of four pictures each.
fn pictures() -> TempDir {
    let folder = tempdir().unwrap();
    for (class, picture) in [("coloured", "rgb.png"), ("grey", "luma.jpg")] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..4 {
            let extension = picture.split('.').next_back().unwrap();
            let to = folder.path().join(format!("{class}/{i}.{extension}"));
            fs::copy(testdata(picture), to).unwrap();
        }
    }
    folder
}

/// A server that answers so many requests in the same way.
fn server(answers: usize, answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(answers) {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            assert!(headers > 0);
            let _ = stream.write_all(answer);
        }
    });
    format!("http://{address}/mnist")
}

#[test]
fn a_place_without_the_files_is_a_failure_that_says_what_to_do() {
    let home = tempdir().unwrap();
    let mirror = server(1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let output = run(home.path(), &["data", "fetch", "mnist", "--mirror", &mirror]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    let url = format!("{mirror}/train-images-idx3-ubyte.gz");
    for part in [
        "error: train-images-idx3-ubyte.gz can't be fetched",
        &format!("{url}: the server answered 404 Not Found"),
        "fetch by other means what is missing",
        home.path().join("mnist").to_str().unwrap(),
        "t10k-labels-idx1-ubyte.gz (4542 bytes, sha256 f7ae60f92e00ec6debd23a6088c31dbd2371ec",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains('\u{1b}'), "no colours in a pipe: {error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_file_put_there_by_hand_is_checked() {
    let home = tempdir().unwrap();
    let dir = home.path().join("mine");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("cifar-10-binary.tar.gz"), "not it").unwrap();
    let output = run(home.path(), &["data", "fetch", "cifar10", "--dir", dir.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("another file of this name") && error.contains("c4a38c50"), "{error}");
}

#[test]
fn names_are_listed_found_and_suggested() {
    let home = tempdir().unwrap();
    let list = text(&run(home.path(), &["data", "list"]).stdout);
    assert!(list.contains("not here: colonnade data fetch cifar10"), "{list}");
    for (data, parts) in [
        ("cifar10", ["`colonnade data fetch cifar10` downloads it", "170 MB"]),
        ("fashin-mnist", ["did you mean fashion-mnist?", "mnist, fashion-mnist, cifar10"]),
        ("no/such/folder", ["no/such/folder", "or the path of a folder"]),
    ] {
        let output = run(home.path(), &["data", "info", data]);
        assert_eq!(output.status.code(), Some(1), "{data}");
        let error = text(&output.stderr);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // A small CIFAR-10 where the fetched one would be.
    fs::create_dir(home.path().join("cifar10")).unwrap();
    let archive = home.path().join("cifar10/cifar-10-binary.tar.gz");
    fs::copy(testdata("cifar-10-binary.tar.gz"), &archive).unwrap();
    for data in ["cifar10", archive.to_str().unwrap(), archive.parent().unwrap().to_str().unwrap()]
    {
        let output = run(home.path(), &["data", "info", data]);
        let info = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        for part in [": 3 x 32 x 32, 10 classes", "airplane ", "channel 2: mean 0."] {
            assert!(info.contains(part), "{info}");
        }
        let all = info.lines().find(|line| line.starts_with("all")).unwrap();
        assert_eq!(all.split_whitespace().collect::<Vec<_>>(), ["all", "10", "2"]);
        let info: Value =
            serde_json::from_slice(&run(home.path(), &["data", "info", data, "--json"]).stdout)
                .unwrap();
        assert_eq!((&info["image"], &info["test"]), (&json!([3, 32, 32]), &json!(2)));
        assert_eq!(info["classes"][0]["name"], "airplane");
        assert_eq!(info["std"].as_array().unwrap().len(), 3);
    }
    let sets: Value =
        serde_json::from_slice(&run(home.path(), &["data", "list", "--json"]).stdout).unwrap();
    assert_eq!(sets[2]["folder"], archive.parent().unwrap().to_str().unwrap());
    assert_eq!((&sets[1]["name"], &sets[1]["folder"]), (&json!("fashion-mnist"), &Value::Null));
    let list = text(&run(home.path(), &["data", "list"]).stdout);
    assert!(list.contains(&format!("in {}", archive.parent().unwrap().display())), "{list}");
}

#[test]
fn pictures_are_counted_and_trained_on() {
    let (home, folder) = (tempdir().unwrap(), pictures());
    let data = folder.path().to_str().unwrap();
    let output = run(home.path(), &["data", "info", data, "--image-size", "14x16", "--grey"]);
    let info = text(&output.stdout);
    assert!(info.contains(": 1 x 14 x 16, 2 classes") && info.contains("coloured"), "{info}");

    let train = |out: &Path, augment: &str| {
        let out = out.to_str().unwrap();
        let mut args = vec!["train", "--epochs", "2", "--batch-size", "2", "--out", out];
        args.extend(["--data", data, "--image-size", "12", "--augment", augment, "--normalize"]);
        let output = run(home.path(), &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read(Path::new(out).join("model.safetensors")).unwrap()
    };
    let out = home.path().join("run");
    let model = train(&out, "flip,crop=2,border=reflect");
    assert_eq!(train(&home.path().join("again"), "flip,crop=2,border=reflect"), model);
    assert_ne!(train(&home.path().join("other"), "shift=2"), model);
    let config = fs::read_to_string(out.join("config.json")).unwrap();
    assert!(config.contains(r#""augment": "flip,crop=2,border=reflect""#), "{config}");

    let weights = out.join("model.safetensors");
    let args = ["eval", "--weights", weights.to_str().unwrap(), "--data", data, "--normalize"];
    let output = run(home.path(), &[&args[..], &["--image-size", "12"]].concat());
    assert!(text(&output.stdout).ends_with("/2)\n"), "{}", text(&output.stderr));
}

#[test]
fn misuse_is_told_from_failure() {
    let home = tempdir().unwrap();
    for (args, expected) in [
        (&["data", "fetch", "cifar100"][..], "cifar10"),
        (&["data", "fetch"], "<NAME>"),
        (&["data", "fetsh"], "fetch"),
        (&["train", "--augment", "flop"], "shift=PIXELS"),
        (&["train", "--image-size", "0"], "at least 1"),
    ] {
        let output = run(home.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    let folder = pictures();
    let data = folder.path().to_str().unwrap();
    let output = run(home.path(), &["train", "--data", data, "--augment", "crop=33"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("a padding of 33 pixels"), "{}", text(&output.stderr));
}
