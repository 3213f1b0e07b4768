//! CIFAR-10: photographs of ten kinds of things, 32 x 32 pixels in colour, 50,000 to train and
//! 10,000 to test (A. Krizhevsky, *Learning multiple layers of features from tiny images*, 2009).
//!
//! Read in its binary form: files of records of 3073 bytes, a label and then 1024 pixels each of
//! red, green and blue, row by row. The six files stand in a folder, or still in the archive
//! `cifar-10-binary.tar.gz`, from which they are read without unpacking it to disk: of the paths
//! in it only the names of those six are looked at, and none is followed.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::Archive;

use crate::{Dataset, DatasetError, ImageSet};

/// The names of the classes, in the order of the labels.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Channels, rows and columns of an image.
pub const IMAGE_SHAPE: [usize; 3] = [3, 32, 32];

/// The bytes of a record: a label and the pixels of an image.
pub const RECORD_LEN: usize = 1 + 3 * 32 * 32;

/// The largest number of records that is read from one file. The published files have as many.
pub const MAX_RECORDS: usize = 10_000;

/// The name of the archive that is published.
pub const ARCHIVE: &str = "cifar-10-binary.tar.gz";

/// The folder in the archive.
const FOLDER: &str = "cifar-10-batches-bin";

/// The files, the one to test with last.
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// No more than this is unpacked of an archive. The published one has 184 MB.
const MAX_UNPACKED: u64 = 256 << 20;

/// The records of a file, taken apart.
struct Batch {
    labels: Vec<u8>,
    pixels: Vec<u8>,
}

/// CIFAR-10 from a folder that has the six files, has them in `cifar-10-batches-bin`, or has the
/// archive.
///
/// # Errors
///
/// [`DatasetError::NotFound`] if the folder has none of these; [`DatasetError::Io`] if the folder
/// or a file cannot be read; else as [`read_batch`] and [`from_archive`].
pub fn from_folder(folder: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let folder = folder.as_ref();
    crate::check_folder(folder)?;
    let inner = folder.join(FOLDER);
    for folder in [folder, &inner] {
        if folder.join(FILES[0]).is_file() {
            return join(|i| {
                let path = folder.join(FILES[i]);
                read_records(BufReader::new(crate::open(&path)?), &path)
            });
        }
    }
    let archive = folder.join(ARCHIVE);
    if archive.is_file() {
        return from_archive(archive);
    }
    let names = vec![FILES[0].to_owned(), format!("{FOLDER}/{}", FILES[0]), ARCHIVE.to_owned()];
    Err(DatasetError::NotFound { folder: folder.to_owned(), names })
}

/// CIFAR-10 from the archive, a gzipped tar.
///
/// # Errors
///
/// [`DatasetError::Io`] if it cannot be opened, else as [`read_archive`].
pub fn from_archive(path: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let path = path.as_ref();
    read_archive(BufReader::new(crate::open(path)?), path)
}

/// CIFAR-10 from a stream of the archive; `name` is what errors call it.
///
/// # Errors
///
/// [`DatasetError::Tar`] if the archive is damaged or unpacks to more than 256 MiB,
/// [`DatasetError::ArchiveFile`] if one of the six files is missing or comes twice, else as
/// [`read_batch`].
pub fn read_archive(reader: impl Read, name: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    let path = name.as_ref();
    let unpacked = MultiGzDecoder::new(reader).take(MAX_UNPACKED);
    let mut archive = Archive::new(BufReader::new(unpacked));
    let damaged = |source| DatasetError::Tar { path: path.to_owned(), source };
    let mut batches = [const { None }; FILES.len()];
    // Raw: extensions of the format, such as long names and sparse files, are not interpreted.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path_bytes();
        let Some(file) = FILES.into_iter().position(|file| is_named(&name, file)) else { continue };
        if batches[file].is_some() {
            let (path, name, count) = (path.to_owned(), FILES[file], 2);
            return Err(DatasetError::ArchiveFile { path, name, count });
        }
        batches[file] = Some(match read_records(entry, &path.join(FILES[file])) {
            Err(DatasetError::Io { source, .. }) => return Err(damaged(source)),
            batch => batch?,
        });
    }
    // To the end, where the checksums of gzip stand.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    join(|i| {
        let (path, name, count) = (path.to_owned(), FILES[i], 0);
        batches[i].take().ok_or(DatasetError::ArchiveFile { path, name, count })
    })
}

/// Reads the records of one file from a stream that ends with them; `name` is what errors call it.
///
/// # Errors
///
/// [`DatasetError::CutOff`] if there is no record or the last one is not complete,
/// [`DatasetError::TrailingBytes`] if there are more than [`MAX_RECORDS`],
/// [`DatasetError::LabelRange`] if a label is not below 10, [`DatasetError::Io`] if reading fails.
pub fn read_batch(reader: impl Read, name: impl AsRef<Path>) -> Result<ImageSet, DatasetError> {
    read_records(reader, name.as_ref())?.into_set()
}

impl Batch {
    fn into_set(self) -> Result<ImageSet, DatasetError> {
        ImageSet::new(self.pixels, IMAGE_SHAPE, self.labels, CLASS_NAMES.len())?
            .with_class_names(CLASS_NAMES)
    }
}

/// Whether a path in the archive is that of one of the files.
fn is_named(path: &[u8], file: &str) -> bool {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let name = path.strip_prefix(FOLDER.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    name.unwrap_or(path) == file.as_bytes()
}

/// Memory grows with the records that arrive.
fn read_records(mut reader: impl Read, path: &Path) -> Result<Batch, DatasetError> {
    let mut batch = Batch { labels: Vec::new(), pixels: Vec::new() };
    let mut record = [0; RECORD_LEN];
    loop {
        let index = batch.labels.len();
        let len = fill(&mut reader, &mut record).map_err(|e| crate::read_error(path, e))?;
        let whole = (index as u64 + 1) * RECORD_LEN as u64;
        if len == 0 && index > 0 {
            return Ok(batch);
        }
        if len < RECORD_LEN {
            return Err(DatasetError::CutOff {
                path: path.to_owned(),
                content: format!("{} x a label and 3 x 32 x 32", index + 1),
                expected: whole,
                actual: whole - (RECORD_LEN - len) as u64,
            });
        }
        if index == MAX_RECORDS {
            return Err(DatasetError::TrailingBytes {
                path: path.to_owned(),
                content: format!("{MAX_RECORDS} x a label and 3 x 32 x 32"),
                expected: (MAX_RECORDS * RECORD_LEN) as u64,
            });
        }
        let (label, classes) = (record[0], CLASS_NAMES.len());
        if usize::from(label) >= classes {
            return Err(DatasetError::LabelRange { path: path.to_owned(), index, label, classes });
        }
        batch.labels.push(label);
        batch.pixels.extend(&record[1..]);
    }
}

/// Fills the buffer, unless the stream ends before, and says how far.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// All batches, asked for by their place in [`FILES`].
fn join(
    mut batch: impl FnMut(usize) -> Result<Batch, DatasetError>,
) -> Result<Dataset, DatasetError> {
    let mut train = Batch { labels: Vec::new(), pixels: Vec::new() };
    let test = FILES.len() - 1;
    for i in 0..test {
        let batch = batch(i)?;
        train.labels.extend(batch.labels);
        train.pixels.extend(batch.pixels);
    }
    Ok(Dataset { train: train.into_set()?, test: batch(test)?.into_set()? })
}
