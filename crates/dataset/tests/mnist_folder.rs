//! MNIST, or what looks like it, from a folder.

mod common;

use std::fs;
use std::path::Path;

use common::{gzip, idx1, idx3};
use dataset::{DatasetError, mnist};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Writes a file for each stem, with the mark between stem and format, gzipped or not.
fn write(folder: &Path, stems: [&str; 2], mark: &str, packed: bool) -> std::io::Result<()> {
    for stem in stems {
        let train = stem.starts_with("train");
        let (format, bytes) = match (stem.ends_with("images"), train) {
            (true, true) => ("idx3", idx3([3, 2, 2], &[9; 12])),
            (true, false) => ("idx3", idx3([1, 2, 2], &[7; 4])),
            (false, true) => ("idx1", idx1(&[4, 5, 6])),
            (false, false) => ("idx1", idx1(&[8])),
        };
        let suffix = if packed { ".gz" } else { "" };
        let bytes = if packed { gzip(&bytes) } else { bytes };
        fs::write(folder.join(format!("{stem}{mark}{format}-ubyte{suffix}")), bytes)?;
    }
    Ok(())
}

const TRAIN: [&str; 2] = ["train-images", "train-labels"];
const TEST: [&str; 2] = ["t10k-images", "t10k-labels"];

#[test]
fn every_spelling_is_found() -> Outcome {
    for (train, test) in [
        (("-", false), ("-", false)),
        (("-", true), ("-", true)),
        ((".", false), (".", false)),
        ((".", true), ("-", false)),
        (("-", true), (".", true)),
    ] {
        let folder = tempfile::tempdir()?;
        write(folder.path(), TRAIN, train.0, train.1)?;
        write(folder.path(), TEST, test.0, test.1)?;
        let mnist = mnist::from_folder(folder.path())?;
        assert_eq!((mnist.train.labels(), mnist.test.labels()), (&[4, 5, 6][..], &[8][..]));
        assert_eq!((mnist.train.pixels(), mnist.test.pixels()), (&[9; 12][..], &[7; 4][..]));
        assert_eq!((mnist.train.classes(), mnist.train.image_shape()), (10, [1, 2, 2]));
    }
    Ok(())
}

#[test]
fn a_folder_of_the_name_of_a_file_is_passed_over() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), TRAIN, ".", false)?;
    write(folder.path(), TEST, ".", false)?;
    fs::create_dir(folder.path().join("train-images-idx3-ubyte"))?;
    assert_eq!(mnist::from_folder(folder.path())?.train.len(), 3);
    Ok(())
}

#[test]
fn a_missing_file_is_reported_with_the_names_looked_for() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), TRAIN, "-", false)?;
    let error = mnist::from_folder(folder.path()).expect_err("the test files are missing");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the folder has none of t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, \
             t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz",
            folder.path().display()
        )
    );
    Ok(())
}

#[test]
fn a_missing_folder_is_not_taken_for_an_empty_one() -> Outcome {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("no-such-folder");
    match mnist::from_folder(&missing).expect_err("there is no folder") {
        DatasetError::Io { path, operation, source } => {
            assert_eq!((path, operation), (missing, "read the folder"));
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        error => panic!("{error:?}"),
    }
    Ok(())
}

#[test]
fn errors_name_the_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), TRAIN, "-", false)?;
    write(folder.path(), TEST, "-", false)?;
    let file = folder.path().join("t10k-labels-idx1-ubyte");

    fs::write(&file, idx1(&[10]))?;
    let error = mnist::from_folder(folder.path()).expect_err("10 is no digit");
    assert!(
        matches!(&error, DatasetError::LabelRange { path, label: 10, .. } if *path == file),
        "{error:?}"
    );
    fs::write(&file, idx1(&[1, 2]))?;
    let error = mnist::from_folder(folder.path()).expect_err("one image, two labels");
    assert!(
        matches!(
            &error,
            DatasetError::CountsDiffer { images: 1, labels: 2, labels_path, .. }
                if *labels_path == file
        ),
        "{error:?}"
    );
    fs::write(&file, [0, 0, 8])?;
    let error = mnist::from_folder(folder.path()).expect_err("three bytes");
    assert!(
        matches!(&error, DatasetError::CutOff { path, actual: 3, .. } if *path == file),
        "{error:?}"
    );
    Ok(())
}

#[test]
fn training_and_test_images_have_one_size() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), TRAIN, "-", false)?;
    write(folder.path(), TEST, "-", false)?;
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx3([1, 2, 3], &[0; 6]))?;
    let error = mnist::from_folder(folder.path()).expect_err("2 x 2 and 2 x 3");
    assert!(
        matches!(error, DatasetError::PartsDiffer { train: [2, 2], test: [2, 3], .. }),
        "{error:?}"
    );
    Ok(())
}
