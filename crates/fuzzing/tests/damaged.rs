//! The seeds of cargo-fuzz, and thousands of damaged copies of them, the same in every run.

use std::fs;
use std::path::Path;

use fuzzing::{Damage, TARGETS, Target};

/// Prints what was given to a target that panicked.
struct Given<'a>(&'a str, &'a [u8]);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let bytes: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} was given {} bytes: {bytes}", self.0, self.1.len());
        }
    }
}

fn run(target: &Target, bytes: &[u8]) {
    let _given = Given(target.name, bytes);
    (target.run)(bytes);
}

/// The files of a folder, ordered by name.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seed", folder.display());
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

fn run_damaged(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("it is one of them");
    let seeds = seeds(target);
    seeds.iter().for_each(|seed| run(target, seed));
    let mut damage = Damage::new(1);
    for _ in 0..testkit::cases(target.quick) {
        run(target, &damage.damaged(&seeds));
    }
    run(target, &[]);
}

#[test]
fn idx_files() {
    run_damaged("idx_gz");
}

#[test]
fn cifar10_files() {
    run_damaged("cifar10");
}

#[test]
fn pictures() {
    run_damaged("image");
}

#[test]
fn arrays_of_numpy() {
    run_damaged("npy_npz");
}

#[test]
fn weights_of_a_network() {
    run_damaged("safetensors_load");
}

#[test]
fn settings() {
    run_damaged("config_toml");
}

#[test]
fn pictures_to_be_recognised() {
    run_damaged("image_predict");
}

#[test]
fn convolutions() {
    run_damaged("differential");
}

/// A target without a test above, or without a program for cargo-fuzz, would never run.
#[test]
fn every_target_is_run_here_and_by_cargo_fuzz() {
    let tests = include_str!("damaged.rs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("it can be read");
    for Target { name, .. } in TARGETS {
        assert!(tests.contains(&format!("run_damaged(\"{name}\")")), "{name} has no test");
        assert!(root.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no program");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}
