//! Files that are replaced as a whole: whoever reads one meanwhile, or after a crash, finds the old
//! contents or the new.
//!
//! The new contents go to a temporary file beside the old one, reach the disk, and take its name;
//! then the folder reaches the disk too, so that the new name outlives a loss of power. Where
//! anything fails, the old file stays as it was and the temporary one is removed. A new file has
//! the mode that the umask gives. Of a symbolic link the target is replaced, and the link kept. What is
//! no file, as a device or a pipe, is written to and never replaced.
//!
//! A program that is killed leaves a temporary file behind, which [`remove_strays`] finds by its
//! name: `.NAME.PID-TIME-NUMBER.colonnade-part`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The end of the name of every temporary file.
pub const SUFFIX: &str = ".colonnade-part";

/// The most links that are followed, one after the other.
const MAX_LINKS: usize = 40;

/// Replaces a file by these bytes.
///
/// # Errors
///
/// What the system refuses: the old file is there as before, unless only the folder could not be
/// brought to the disk.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces a file by what `contents` writes.
///
/// # Errors
///
/// Those of `contents`, and as [`write()`].
pub fn write_with<E: From<io::Error>>(
    path: impl AsRef<Path>,
    contents: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = target(path.as_ref())?;
    if fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let mut device = OpenOptions::new().write(true).open(&path)?;
        contents(&mut device)?;
        return Ok(device.flush()?);
    }
    let folder = folder_of(&path);
    let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
    let (part, file) = Part::create(folder, name)?;
    let mut file = BufWriter::with_capacity(1 << 16, file);
    contents(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Renamed only when its contents have reached the disk.
    file.sync_all()?;
    drop(file);
    part.rename(&path)?;
    sync_folder(folder)?;
    Ok(())
}

/// Gives a file a second name, which takes the place of whatever had it: at no moment is there
/// neither. Where the file system knows no second names, the file is renamed.
///
/// # Errors
///
/// What the system refuses; the file is there as before.
pub fn keep_as(path: impl AsRef<Path>, second: impl AsRef<Path>) -> io::Result<()> {
    let (path, second) = (path.as_ref(), target(second.as_ref())?);
    let folder = folder_of(&second);
    let part = Part::new(folder, second.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    // Of a link the target, or the second name would follow the first.
    match fs::hard_link(target(path)?, &part.path) {
        Ok(()) => part.rename(&second)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(e),
        Err(_) => fs::rename(path, &second)?,
    }
    sync_folder(folder)
}

/// Removes from a folder what programs that were killed have left there, and says which files these
/// were. Those of programs that may still run stay, and so does all that is called otherwise.
///
/// # Errors
///
/// The folder can't be read. A file that can't be removed is no error.
pub fn remove_strays(folder: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(writer) = entry.file_name().to_str().and_then(Writer::of) else { continue };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !writer.may_run(&entry) && fs::remove_file(entry.path()).is_ok() {
            removed.push(entry.path());
        }
    }
    removed.sort();
    Ok(removed)
}

/// Who writes a temporary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    process: u32,
    /// When it wrote its first file, in nanoseconds: numbers of processes come again, in a container
    /// with every start.
    time: u128,
}

impl Writer {
    /// This process.
    fn this() -> Self {
        static TIME: OnceLock<u128> = OnceLock::new();
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        Self { process: std::process::id(), time: *TIME.get_or_init(now) }
    }

    /// The writer of a file of this name, if it is that of a temporary one.
    fn of(name: &str) -> Option<Self> {
        let name = name.strip_prefix('.')?.strip_suffix(SUFFIX)?;
        let (_, writer) = name.rsplit_once('.')?;
        let mut numbers = writer.split('-');
        let writer =
            Self { process: numbers.next()?.parse().ok()?, time: numbers.next()?.parse().ok()? };
        numbers.next()?.parse::<u64>().ok()?;
        numbers.next().is_none().then_some(writer)
    }

    /// Whether its process may still be there.
    fn may_run(self, entry: &fs::DirEntry) -> bool {
        let this = Self::this();
        if self.process == this.process {
            return self == this;
        }
        let processes = Path::new("/proc");
        if processes.join("self").exists() {
            return processes.join(self.process.to_string()).exists();
        }
        // Where processes can't be seen: no file is a day in the writing.
        let age = entry.metadata().and_then(|file| file.modified()).ok();
        let age = age.and_then(|time| time.elapsed().ok());
        age.is_none_or(|age| age.as_secs() < 24 * 60 * 60)
    }
}

/// A temporary file, removed unless it was renamed.
struct Part {
    path: PathBuf,
    renamed: bool,
}

impl Part {
    /// A name beside the file that it is for, which no other file of this process has.
    fn new(folder: &Path, name: &std::ffi::OsStr) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Writer { process, time } = Writer::this();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut part = OsString::from(".");
        part.push(name);
        part.push(format!(".{process}-{time}-{number}{SUFFIX}"));
        Self { path: folder.join(part), renamed: false }
    }

    fn create(folder: &Path, name: &std::ffi::OsStr) -> io::Result<(Self, File)> {
        let mut part = Self::new(folder, name);
        // Never one that is there, which might be somebody's link.
        match OpenOptions::new().write(true).create_new(true).open(&part.path) {
            Ok(file) => Ok((part, file)),
            Err(error) => {
                part.renamed = true;
                Err(error)
            }
        }
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        // Two names of one file are left as they are by a renaming; then the first must go.
        self.renamed = !self.path.exists();
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where a path leads, through the links at its end; there need not be a file.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&path)?;
                path = path.parent().map_or(link.clone(), |folder| folder.join(&link));
            }
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("more than {MAX_LINKS} symbolic links lead from one to the next")))
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Brings the names in a folder to the disk, where the system can do that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some file systems know no such thing.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_temporary_files_say_who_writes_them() {
        let part = Part::new(Path::new("folder"), "a.b".as_ref());
        let name = part.path.file_name().and_then(|name| name.to_str()).expect("it is ASCII");
        assert_eq!(Writer::of(name), Some(Writer::this()));
        assert!(name.starts_with(".a.b."), "{name}");
        for other in [
            "a.b",
            ".a.b",
            ".colonnade-part",
            ".a.1-2.colonnade-part",
            ".a.1-2-3-4.colonnade-part",
            ".a.x-2-3.colonnade-part",
            "a.1-2-3.colonnade-part",
            ".a.1-2-3.colonnade-part.txt",
            "a.123.part",
        ] {
            assert_eq!(Writer::of(other), None, "{other}");
        }
    }
}
