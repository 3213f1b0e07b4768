//! What the tests of the program share: how it is run.

// Each test file is a program of its own and uses its part of this.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn colonnade(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_colonnade"));
    command.args(args);
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    colonnade(args).output().expect("the program starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn str(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// What the program prints if it succeeds.
#[track_caller]
pub(crate) fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(!shown.contains('\u{1b}'), "colours where no terminal is: {shown}");
    shown
}

/// Fails unless the program ends with a code and an error that has all parts.
#[track_caller]
pub(crate) fn fail(args: &[&str], code: i32, parts: &[&str]) {
    let output = run(args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{args:?}: {part}: {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
}

/// The first images of MNIST in a folder: so many to train on, and to test with 300 of its own at most.
#[cfg(feature = "bundled-mnist")]
pub(crate) fn few(folder: &Path, images: usize) -> std::path::PathBuf {
    let path = folder.join("few");
    std::fs::create_dir(&path).expect("a new folder");
    let dataset::Dataset { train, test } = dataset::mnist::bundled().expect("it is in the program");
    for (name, set, images) in [("train", train, images), ("t10k", test, images.min(300))] {
        let count = (images as u32).to_be_bytes();
        let side = 28_u32.to_be_bytes();
        let mut file = [&[0, 0, 8, 3][..], &count, &side, &side].concat();
        (0..images).for_each(|i| file.extend_from_slice(set.image(i)));
        std::fs::write(path.join(format!("{name}-images-idx3-ubyte")), file).expect("it fits");
        let mut file = [&[0, 0, 8, 1][..], &count].concat();
        file.extend((0..images).map(|i| set.label(i) as u8));
        std::fs::write(path.join(format!("{name}-labels-idx1-ubyte")), file).expect("it fits");
    }
    path
}
