//! Damaged and lying pictures, and folders that are not as they should be.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use dataset::DatasetError;
use dataset::image_folder::{self, FolderOptions, MAX_SIDE};
use flate2::Crc;
use tempfile::{TempDir, tempdir};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn testdata(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images");
    fs::read(folder.join(name)).expect("it was committed")
}

const PICTURES: [&str; 10] = [
    "rgb.png",
    "rgba.png",
    "grey.png",
    "grey16.png",
    "bits.png",
    "palette.png",
    "colour.jpg",
    "luma.jpg",
    "progressive.jpg",
    "turned.jpg",
];

/// Reads a picture with these bytes; one that can be read has the shape that was asked for.
fn read(bytes: &[u8]) -> Result<(), DatasetError> {
    let options = FolderOptions::new(5, 4);
    let pixels = image_folder::read_image(Cursor::new(bytes), "picture", &options)?;
    assert_eq!(pixels.len(), 60);
    Ok(())
}

#[test]
fn pictures_cut_off_anywhere_are_errors_or_images() {
    for name in PICTURES {
        let whole = testdata(name);
        for len in 0..whole.len() {
            if let Err(error) = read(&whole[..len]) {
                assert!(matches!(error, DatasetError::Image { .. }), "{name} {len}: {error:?}");
                assert!(error.to_string().contains("picture: not a readable"), "{error}");
            } else {
                // Only what comes last may be missing.
                assert!(len > whole.len() / 4, "{name} {len} of {}", whole.len());
            }
        }
        assert!(read(&whole).is_ok(), "{name}");
    }
}

#[test]
fn pictures_with_a_flipped_bit_are_errors_or_images() {
    for name in PICTURES {
        let mut bytes = testdata(name);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                if let Err(error) = read(&bytes) {
                    assert!(
                        matches!(
                            error,
                            DatasetError::Image { .. } | DatasetError::ImageTooLarge { .. }
                        ),
                        "{name} {at} {bit}: {error:?}"
                    );
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

/// A png of the given size, with a right checksum and no pixels.
fn announced(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let mut crc = Crc::new();
    crc.update(&chunk);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(chunk);
    bytes.extend(crc.sum().to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn sizes_are_bounded() {
    let most = MAX_SIDE;
    for (width, height) in [(most + 1, 1), (1, most + 1), (20_000, 20_000), (1 << 30, 1 << 30)] {
        let error = read(&announced(width, height)).expect_err("too large");
        assert!(
            matches!(error, DatasetError::ImageTooLarge { .. } | DatasetError::Image { .. }),
            "{width} x {height}: {error:?}"
        );
    }
    let error = read(&announced(20_000, 10_000)).expect_err("too large");
    assert!(
        error
            .to_string()
            .ends_with("20000 x 10000 pixels; at most 32768 a side and 100000000 in all are read"),
        "{error}"
    );
    // A size that could be, of which nothing is there.
    let error = read(&announced(9000, 9000)).expect_err("no pixels");
    assert!(matches!(error, DatasetError::Image { .. }), "{error:?}");
}

#[test]
fn other_files_are_named() {
    let folder = tempdir().expect("a folder");
    for bytes in [&b""[..], b"hello", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", b"BM\x1a\0\0\0\0\0"] {
        let error = read(bytes).expect_err("neither png nor jpeg");
        assert!(error.to_string().contains("picture: not a readable png or jpeg"), "{error}");
    }
    let missing = folder.path().join("missing.png");
    let error = image_folder::load_image(&missing, &FolderOptions::new(1, 1)).expect_err("missing");
    assert!(matches!(error, DatasetError::Io { operation: "open", .. }), "{error:?}");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let options = FolderOptions::new(8, 8);
    for options in [
        FolderOptions::new(0, 8),
        FolderOptions::new(8, 4097),
        options.resize(7),
        options.resize(5000),
        FolderOptions::new(usize::MAX, usize::MAX),
    ] {
        let error = image_folder::load("nowhere", &options).expect_err("no such size");
        assert!(matches!(error, DatasetError::FolderSize { .. }), "{error:?}");
    }
}

/// Pictures at the given paths below a folder.
fn folders(paths: &[&str]) -> std::io::Result<TempDir> {
    let folder = tempdir()?;
    for path in paths {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, testdata("rgb.png"))?;
    }
    Ok(folder)
}

const SIZE: FolderOptions = FolderOptions::new(4, 4);

#[test]
fn classes_and_files_are_sorted() -> Outcome {
    let folder = folders(&["b/2.png", "b/1.JPG", "a/x.jpeg", "a/.hidden.png", ".git/1.png"])?;
    fs::write(folder.path().join("b/notes.txt"), "not a picture")?;
    fs::write(folder.path().join("readme.png"), "not in a class")?;
    fs::write(folder.path().join("b/2.png"), testdata("luma.jpg"))?;
    let set = image_folder::load(folder.path(), &SIZE.grey())?;
    assert_eq!(set.class_names(), ["a", "b"]);
    assert_eq!((set.labels(), set.image_shape()), (&[0, 1, 1][..], [1, 4, 4]));
    assert!(set.image(0) == set.image(1) && set.image(1) != set.image(2));
    Ok(())
}

#[test]
fn parts_are_found_or_made() -> Outcome {
    let paths = ["train/b/1.png", "train/a/1.png", "train/a/2.png", "val/a/1.png", "val/b/1.png"];
    let set = image_folder::from_folder(folders(&paths)?.path(), &SIZE)?;
    assert_eq!((set.train.labels(), set.test.labels()), (&[0, 0, 1][..], &[0, 1][..]));
    let paths: Vec<String> = (0..11).map(|i| format!("a/{i:02}.png")).collect();
    let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    paths.extend(["b/1.png", "b/2.png"]);
    let set = image_folder::from_folder(folders(&paths)?.path(), &SIZE)?;
    assert_eq!(set.train.label_counts(), [9, 1]);
    assert_eq!(set.test.label_counts(), [2, 1]);
    Ok(())
}

#[test]
fn folders_that_are_not_as_they_should_be() -> Outcome {
    let read = |paths: &[&str]| -> Result<(PathBuf, DatasetError), std::io::Error> {
        let folder = folders(paths)?;
        let error = image_folder::from_folder(folder.path(), &SIZE).expect_err("not a set");
        Ok((folder.path().to_owned(), error))
    };
    let (path, error) = read(&[])?;
    assert!(matches!(&error, DatasetError::NoClasses { folder } if *folder == path), "{error:?}");
    let (path, error) = read(&["a/x.png", "b/notes.txt"])?;
    assert!(
        matches!(&error, DatasetError::NoImages { folder } if *folder == path.join("b")),
        "{error:?}"
    );
    let (_, error) = read(&["train/a/1.png", "test/b/1.png"])?;
    assert!(
        error.to_string().contains("class folders are b, those to train with are a"),
        "{error}"
    );
    let (_, error) = read(&["a/1.png", "a/2.png", "b/1.png"])?;
    assert!(error.to_string().contains("class b has one image only"), "{error}");
    let many: Vec<String> = (0..257).map(|i| format!("{i}/1.png")).collect();
    let (_, error) = read(&many.iter().map(String::as_str).collect::<Vec<_>>())?;
    assert!(matches!(error, DatasetError::ClassCount { classes: 257, max: 256 }), "{error:?}");
    Ok(())
}
