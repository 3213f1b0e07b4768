//! Files are replaced as a whole or not at all.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::tempdir;
use weights::atomic::{self, SUFFIX};
use weights::{WeightsError, npz, safetensors};

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_made_and_replaced() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.txt");
    for text in ["first", "", "a longer one"] {
        atomic::write(&path, text.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(names(folder.path()), ["a.txt"]);
    }
}

#[test]
fn a_failure_leaves_the_old_file_and_nothing_else() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    atomic::write(&path, b"old").unwrap();
    let failed = atomic::write_with(&path, |file| {
        file.write_all(&[1; 1 << 20])?;
        // It is there under another name, beside the old one.
        assert_eq!(names(folder.path()).len(), 2);
        assert!(names(folder.path())[0].ends_with(SUFFIX));
        Err(io::Error::other("the disk is full"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
    assert_eq!(
        (fs::read(&path).unwrap(), names(folder.path())),
        (b"old".to_vec(), vec!["a".to_owned()])
    );

    let panicked = std::panic::catch_unwind(|| {
        let _ = atomic::write_with(&path, |file| -> io::Result<()> {
            file.write_all(b"new")?;
            panic!("in the middle");
        });
    });
    assert!(panicked.is_err());
    assert_eq!(
        (fs::read(&path).unwrap(), names(folder.path())),
        (b"old".to_vec(), vec!["a".to_owned()])
    );

    // Values that don't fit their shape are found while the file is being written.
    let good = ("a", &[1][..], &[1.0][..]);
    let bad = ("b", &[2][..], &[1.0][..]);
    let error = safetensors::save(&path, [good, bad], []).unwrap_err();
    assert!(matches!(error, WeightsError::Unwritable { .. }), "{error}");
    assert!(npz::save(&path, [good, bad]).is_err());
    assert_eq!(
        (fs::read(&path).unwrap(), names(folder.path())),
        (b"old".to_vec(), vec!["a".to_owned()])
    );
}

#[test]
fn where_nothing_can_be_written() {
    let folder = tempdir().unwrap();
    let error = atomic::write(folder.path().join("missing/a"), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // A folder is not replaced.
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    assert!(atomic::write(&inner, b"x").is_err());
    assert!(atomic::write("/", b"x").is_err());
    assert_eq!(names(folder.path()), ["inner"]);
    let error = safetensors::save(folder.path().join("missing/a"), [], []).unwrap_err();
    assert!(error.to_string().contains("missing/a: can't write it"), "{error}");
}

/// Whoever reads finds a whole file, however often it is replaced meanwhile.
#[test]
fn readers_find_the_old_or_the_new() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a");
    let contents = |number: u8| vec![number; 100_000 + usize::from(number)];
    atomic::write(&path, &contents(0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..100 {
                atomic::write(&path, &contents(number)).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let read = fs::read(&path).unwrap();
            assert_eq!(read, contents(read[0]));
        }
    });
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn a_second_name_keeps_what_was_there() {
    let folder = tempdir().unwrap();
    let (path, second) = (folder.path().join("a"), folder.path().join("b"));
    assert_eq!(atomic::keep_as(&path, &second).unwrap_err().kind(), ErrorKind::NotFound);
    for number in 0..4_u8 {
        atomic::write(&path, &[number]).unwrap();
        // Twice does no harm.
        for _ in 0..2 {
            atomic::keep_as(&path, &second).unwrap();
            assert_eq!(
                (fs::read(&path).unwrap(), fs::read(&second).unwrap()),
                (vec![number], vec![number])
            );
        }
        atomic::write(&path, b"newer").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(&second).unwrap()),
            (b"newer".to_vec(), vec![number])
        );
        assert_eq!(names(folder.path()), ["a", "b"]);
    }
}

#[test]
fn strays_of_dead_programs_are_removed() {
    let folder = tempdir().unwrap();
    let make = |name: &str| fs::write(folder.path().join(name), b"x").unwrap();
    let this = std::process::id();
    // The largest number that Linux gives a process is below 2^22.
    let dead = format!(".model.safetensors.{}-12345-0{SUFFIX}", 1 << 23);
    // A process of the same number as this one, that came before it.
    let before = format!(".a.{this}-12345-0{SUFFIX}");
    make(&dead);
    make(&before);
    let others = ["a.part", "model.safetensors", &format!("x{SUFFIX}"), &format!(".x.1-2{SUFFIX}")];
    others.iter().for_each(|name| make(name));
    let folder_name = format!(".f.{}-1-0{SUFFIX}", 1 << 23);
    fs::create_dir(folder.path().join(&folder_name)).unwrap();
    atomic::write_with(folder.path().join("b"), |_| -> io::Result<()> {
        // Not those that are being written.
        let removed = atomic::remove_strays(folder.path())?;
        if cfg!(target_os = "linux") {
            assert_eq!(removed, [folder.path().join(&before), folder.path().join(&dead)]);
        }
        Ok(())
    })
    .unwrap();
    for name in others.into_iter().chain([&*folder_name, "b"]) {
        assert!(names(folder.path()).iter().any(|found| found == name), "{name}");
    }
    assert_eq!(atomic::remove_strays(folder.path()).unwrap(), Vec::<std::path::PathBuf>::new());
    assert!(atomic::remove_strays(folder.path().join("missing")).is_err());
}

/// The first process is always there.
#[cfg(target_os = "linux")]
#[test]
fn files_of_running_programs_stay() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(format!(".a.1-5-0{SUFFIX}"));
    fs::write(&path, b"x").unwrap();
    assert!(atomic::remove_strays(folder.path()).unwrap().is_empty());
    assert!(path.exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_kept_and_their_targets_replaced() {
        let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
        let target = other.path().join("target");
        fs::write(&target, b"old").unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        symlink(&target, &first).unwrap();
        // A link to a link, by a relative path.
        symlink("first", &second).unwrap();
        atomic::write(&second, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_link(&second).unwrap(), Path::new("first"));
        assert_eq!(fs::read_link(&first).unwrap(), target);
        assert_eq!(
            (names(folder.path()).len(), names(other.path())),
            (2, vec!["target".to_owned()])
        );
        // One that leads nowhere yet.
        fs::remove_file(&target).unwrap();
        atomic::write(&first, b"again").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"again");
        assert!(fs::symlink_metadata(&first).unwrap().is_symlink());
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        symlink(&a, &b).unwrap();
        symlink(&b, &a).unwrap();
        let error = atomic::write(&a, b"x").unwrap_err();
        assert!(error.to_string().contains("symbolic links"), "{error}");
    }

    /// What `fs::write` gives a new file, the umask allowing.
    #[test]
    fn files_have_the_usual_mode() {
        let folder = tempdir().unwrap();
        let (usual, ours) = (folder.path().join("usual"), folder.path().join("ours"));
        fs::write(&usual, b"x").unwrap();
        atomic::write(&ours, b"x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
    }
}
