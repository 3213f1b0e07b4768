//! The commands that look at a run, as their users run them.

#![cfg(feature = "bundled-mnist")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::{fail, str, succeed};
use image::{GrayImage, imageops};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A run that recognises most digits, trained once for all tests.
fn trained() -> PathBuf {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = RUN.get_or_init(|| {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("run");
        let out = str(&path);
        succeed(&["train", "--epochs", "3", "--limit", "8000", "--quiet", "--out", out]);
        (folder, path)
    });
    path.clone()
}

#[test]
fn filters_before_and_after_training_are_one_picture() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let out = folder.path().join("filters.png");
    let shown = succeed(&["filters", "--run", str(&run), "--out", str(&out), "--json"]);
    let picture = image::open(&out).unwrap().to_luma8();
    let (width, height) = picture.dimensions();
    assert_eq!(json(&shown)["width"], width);
    // Two blocks of 30 filters with a gap between them; both have their blacks and whites.
    assert!(width > 2 * height, "{width} x {height}");
    for x in [0, width / 2] {
        let half = imageops::crop_imm(&picture, x, 0, width / 2, height).to_image();
        for grey in [0, 255] {
            assert!(half.pixels().filter(|pixel| pixel.0[0] == grey).count() >= 30 * 36);
        }
    }
}

#[test]
fn features_are_the_same_for_the_same_seed() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let features = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let shown = succeed(&[
            "features",
            "--run",
            str(&run),
            "--out",
            str(&out),
            "--limit",
            "300",
            "--steps",
            "30",
            "--channels",
            "4",
            "--layer",
            "conv1",
            "--layer",
            "affine2",
            "--seed",
            seed,
            "--json",
        ]);
        let sheet = fs::read(out.join("affine2-channels.png")).unwrap();
        assert!(
            out.join("01-conv1-maps.png").is_file() && out.join("conv1-channels.png").is_file()
        );
        assert!(!out.join("affine1-channels.png").exists());
        (json(&shown), sheet)
    };
    let (first, sheet) = features("first", "1");
    assert_eq!(features("again", "1").1, sheet);
    assert_ne!(features("other", "2").1, sheet);
    let sheets = first["files"].as_array().unwrap().iter().filter(|f| f["channels"].is_array());
    for channel in sheets.flat_map(|sheet| sheet["channels"].as_array().unwrap()) {
        let number = |name: &str| channel[name].as_f64().unwrap();
        assert!(number("ascent") > number("noise"), "{channel}");
        assert_eq!(channel["images"].as_array().unwrap().len(), 9);
    }
}

#[test]
fn the_report_is_one_file() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let (out, curves) = (folder.path().join("page.html"), folder.path().join("curves"));
    let shown = succeed(&[
        "report",
        "--run",
        str(&run),
        "--out",
        str(&out),
        "--curves",
        str(&curves),
        "--limit",
        "500",
        "--channels",
        "2",
        "--json",
    ]);
    let found = json(&shown);
    let html = fs::read_to_string(&out).unwrap();
    assert_eq!(found["bytes"], html.len());
    assert!(html.len() < 5_000_000 && !html.contains("<script"));
    let sum = |value: &Value| -> u64 {
        let rows = value.as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!(sum(&found["confusion"]), 500);
    for name in ["loss", "accuracy", "learning-rate", "seconds"] {
        let svg = fs::read_to_string(curves.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg xmlns="), "{svg}");
    }
    assert!(html.contains("Learning rate") && html.contains("simple-convnet on bundled MNIST"));
}

#[test]
fn digits_are_recognised_whatever_their_size_and_ink() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let test = dataset::mnist::bundled().unwrap().test;
    let mut files = Vec::new();
    for i in 0..10 {
        let mut digit = GrayImage::from_raw(28, 28, test.image(i).to_vec()).unwrap();
        match i {
            3 => imageops::invert(&mut digit),
            4 => digit = imageops::resize(&digit, 200, 200, imageops::FilterType::CatmullRom),
            _ => {}
        }
        let path = folder.path().join(format!("{i}.png"));
        digit.save(&path).unwrap();
        files.push(path);
    }
    let mut args = vec!["predict", "--run", str(&run), "--json"];
    args.extend(files.iter().map(|path| str(path)));
    let results = json(&succeed(&args));
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), 10);
    let right = |i: usize| results[i]["class"] == test.label(i);
    assert!((0..10).filter(|&i| right(i)).count() >= 9, "{results:?}");
    assert!(right(3) && right(4));
    for result in results {
        let p = result["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap());
        assert!((p.sum::<f64>() - 1.0).abs() < 1e-5);
    }
    let shown = succeed(&["predict", "--run", str(&run), "--top", "2", str(&files[0])]);
    assert!(shown.contains("0.png: 7") && shown.contains('█'), "{shown}");
    assert_eq!(shown.lines().count(), 3);
}

#[test]
fn gradients_agree_or_the_program_fails() {
    let args = ["gradcheck", "--elements", "3", "--images", "1"];
    let shown = succeed(&[&args[..], &["--json"]].concat());
    let gradients = json(&shown)["gradients"].as_array().unwrap().clone();
    assert_eq!(gradients.len(), 7);
    assert!(gradients.iter().all(|g| g["relative"].as_f64().unwrap() <= 1e-7));
    fail(&[&args[..], &["--limit", "1e-30"]].concat(), 1, &["affine1.weight"]);
}

#[test]
fn what_can_not_be_done_says_what_to_do() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let (missing, empty) = (path("missing"), path("empty.png"));
    fs::write(&empty, b"no picture").unwrap();
    let sheet = path("sheet.png");
    GrayImage::from_pixel(30, 30, image::Luma([255])).save(&sheet).unwrap();
    for command in ["filters", "features", "report"] {
        fail(
            &[command, "--run", str(&missing)],
            1,
            &["name the folder that `colonnade train` left"],
        );
        fail(&[command], 2, &["--run <DIR>"]);
    }
    let run = str(&run);
    fail(&["features", "--run", run, "--layer", "relu1"], 1, &["conv1, affine1, affine2"]);
    fail(&["features", "--run", run, "--image", "10000"], 1, &["10000"]);
    fail(&["predict", "--run", run, str(&missing)], 1, &["can't open the picture"]);
    fail(&["predict", "--run", run, str(&empty)], 1, &["not a readable png or jpeg image"]);
    fail(&["predict", "--run", run, str(&sheet)], 1, &["there is nothing on it"]);
    fail(&["predict", "--run", run], 2, &["<IMAGE>..."]);
    fail(&["gradcheck", "--model", "simple-convnt"], 2, &["simple-convnet"]);
    fail(&["reprot"], 2, &["report"]);

    // A run that has not come to its first epoch, and one of a network that is not known.
    let young = path("young");
    fs::create_dir(&young).unwrap();
    let config = fs::read_to_string(Path::new(run).join("config.json")).unwrap();
    fs::write(young.join("config.json"), &config).unwrap();
    fail(&["report", "--run", str(&young)], 1, &["no trained weights yet"]);
    fs::write(young.join("config.json"), config.replace("simple-convnet", "other")).unwrap();
    fail(&["report", "--run", str(&young)], 1, &["there is no model other"]);
    fs::write(young.join("config.json"), "{").unwrap();
    fail(&["report", "--run", str(&young)], 1, &["not the settings of a run"]);
}

#[test]
fn weights_that_are_no_numbers_are_named_by_predict() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let damaged = folder.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    fs::copy(run.join("config.json"), damaged.join("config.json")).unwrap();
    let mut weights = fs::read(run.join("model.safetensors")).unwrap();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(damaged.join("model.safetensors"), weights).unwrap();
    let digit = folder.path().join("digit.png");
    let pixels = dataset::mnist::bundled().unwrap().test.image(0).to_vec();
    GrayImage::from_raw(28, 28, pixels).unwrap().save(&digit).unwrap();
    let parts = ["the network gives no answer: layer ", " was the first to give NaN, and its "];
    fail(&["predict", "--run", str(&damaged), str(&digit)], 1, &parts);
}

/// Settings that ask for more memory than there is would end the program.
#[test]
fn settings_of_a_network_beyond_its_weights_are_refused() {
    let (run, folder) = (trained(), tempdir().unwrap());
    let hostile = folder.path().join("hostile");
    fs::create_dir(&hostile).unwrap();
    fs::copy(run.join("model.safetensors"), hostile.join("model.safetensors")).unwrap();
    for (input, classes) in [
        ([1, 28, 28], 20_000_000_000_usize),
        ([1, 28, 28], 1_000_000_000_000),
        ([1, 30_000, 30_000], 10),
        ([1, 28, 28], usize::MAX),
    ] {
        let settings = format!(
            r#"{{"model":"simple-convnet","data":"mnist","input":{input:?},"classes":{classes}}}"#
        );
        fs::write(hostile.join("config.json"), settings).unwrap();
        let picture = str(&folder.path().join("none.png")).to_owned();
        let predict = ["predict", "--run", str(&hostile), &picture];
        let part = if classes == usize::MAX { "can be addressed" } else { "parameters, but" };
        fail(&predict, 1, &[part]);
    }
}
