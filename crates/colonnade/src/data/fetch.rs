//! Fetches a file: resumes what was begun, keeps only what has the right digest.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hmac_sha256::Hash;

use super::catalog::RemoteFile;
use super::transport::{self, Answer, Trouble};

/// How often in a row a request may bring nothing new before another place is tried.
const TRIES: u32 = 3;

/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{}: can't {action}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    #[error(
        "{}: there is another file of this name: its sha256 is {actual}, that of the published \
         one {expected}; move it away, or name another folder with --dir",
        path.display()
    )]
    Occupied { path: PathBuf, expected: String, actual: String },
    #[error("{}: another process is fetching this file", path.display())]
    Busy { path: PathBuf },
    /// Each place with what went wrong there.
    #[error("{name} can't be fetched:{}", list(places))]
    NoPlace { name: String, places: Vec<(String, String)> },
}

fn list(places: &[(String, String)]) -> String {
    places.iter().map(|(url, why)| format!("\n  {url}: {why}")).collect()
}

/// What was done for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It was there, with the right digest.
    Already,
    Now,
}

/// Sends a request; a function so that tests can choose the way.
pub(crate) type Request = fn(&str, u64) -> Result<Answer, Trouble>;

/// Fetches a file into a folder that exists. While it is not complete it is called `NAME.part`;
/// that is also what a later call goes on with. `progress` is told how many bytes there are.
pub(crate) fn fetch(
    file: &RemoteFile,
    folder: &Path,
    progress: &dyn Fn(u64),
) -> Result<Fetched, FetchError> {
    fetch_by(transport::request, file, folder, progress)
}

pub(crate) fn fetch_by(
    request: Request,
    file: &RemoteFile,
    folder: &Path,
    progress: &dyn Fn(u64),
) -> Result<Fetched, FetchError> {
    let path = folder.join(&file.name);
    if path.exists() {
        let mut there = File::open(&path).map_err(failed("open it", &path))?;
        let (expected, actual) =
            (file.sha256.clone(), sha256(&mut there).map_err(failed("read it", &path))?);
        return if actual == expected {
            Ok(Fetched::Already)
        } else {
            Err(FetchError::Occupied { path, expected, actual })
        };
    }
    let mut part = Part::open(folder.join(format!("{}.part", file.name)), file.size)?;
    let mut places = Vec::new();
    for url in &file.urls {
        match from_place(request, url, file, &mut part, progress)? {
            Ok(()) => {
                part.keep_as(&path)?;
                return Ok(Fetched::Now);
            }
            Err(why) => places.push((url.clone(), why)),
        }
    }
    part.close();
    Err(FetchError::NoPlace { name: file.name.clone(), places })
}

/// Fetches all of a file from one place, or says what is wrong with the place. An error is about
/// our own disk.
fn from_place(
    request: Request,
    url: &str,
    file: &RemoteFile,
    part: &mut Part,
    progress: &dyn Fn(u64),
) -> Result<Result<(), String>, FetchError> {
    let (mut most, mut idle) = (part.len, 0);
    while part.len < file.size {
        progress(part.len);
        let trouble = match receive(request, url, file.size, part, progress)? {
            Ok(()) => continue,
            Err(Trouble::Final(why)) => return Ok(Err(why)),
            Err(Trouble::Passing(why)) => why,
            Err(Trouble::NoParts) => {
                part.cut(0)?;
                "it does not resume downloads".to_owned()
            }
        };
        if part.len > most {
            (most, idle) = (part.len, 0);
            continue;
        }
        idle += 1;
        if idle == TRIES {
            return Ok(Err(trouble));
        }
        thread::sleep(PAUSE * 2_u32.pow(idle - 1));
    }
    progress(part.len);
    let actual = part.sha256()?;
    if actual == file.sha256 {
        return Ok(Ok(()));
    }
    // Nothing tells which of its bytes are wrong.
    part.cut(0)?;
    Ok(Err(format!("what came has the sha256 {actual}, not {}; thrown away", file.sha256)))
}

/// One request: appends what comes. `Ok(Ok(()))` if that is all of the file.
fn receive(
    request: Request,
    url: &str,
    size: u64,
    part: &mut Part,
    progress: &dyn Fn(u64),
) -> Result<Result<(), Trouble>, FetchError> {
    let mut answer = match request(url, part.len) {
        Ok(answer) => answer,
        Err(trouble) => return Ok(Err(trouble)),
    };
    // Cut when the first byte is there: an answer may be nothing but an error.
    let mut begun = answer.start == part.len;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match answer.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(Trouble::Passing(error.to_string()))),
        };
        if !begun {
            part.cut(answer.start)?;
            begun = true;
        }
        if part.len + count as u64 > size {
            part.cut(0)?;
            return Ok(Err(Trouble::Final(format!("it sends more than the {size} bytes"))));
        }
        part.append(&buffer[..count])?;
        progress(part.len);
    }
    if let Err(trouble) = answer.finish() {
        return Ok(Err(trouble));
    }
    if part.len == size {
        return Ok(Ok(()));
    }
    let why = format!("the connection ended after {} of {size} bytes", part.len);
    Ok(Err(Trouble::Passing(why)))
}

/// The beginning of a file. Locked while it is open.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Part {
    fn open(path: PathBuf, size: u64) -> Result<Self, FetchError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("create it", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path }),
            // Not every file system has locks. The digest is checked in any case.
            Err(TryLockError::Error(_)) => {}
        }
        let len = file.metadata().map_err(failed("read it", &path))?.len();
        let mut part = Self { path, file, len };
        if len > size {
            part.cut(0)?;
        }
        part.cut(part.len)?;
        Ok(part)
    }

    /// Keeps the first `len` bytes.
    fn cut(&mut self, len: u64) -> Result<(), FetchError> {
        let cut = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::Start(len)));
        cut.map_err(failed("write it", &self.path))?;
        self.len = len;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(failed("write it", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sha256(&mut self) -> Result<String, FetchError> {
        let digest = self.file.rewind().and_then(|()| sha256(&mut self.file));
        digest.map_err(failed("read it", &self.path))
    }

    /// Gives the file its name when it has reached the disk.
    fn keep_as(self, path: &Path) -> Result<(), FetchError> {
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.path, path));
        kept.map_err(failed("write it", path))?;
        // The name reaches the disk with its folder; Windows can't open one as a file.
        if cfg!(unix) {
            let folder = path.parent().unwrap_or(Path::new("."));
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed("write it", folder))?;
        }
        Ok(())
    }

    /// Leaves the file for a later call, if there is something in it.
    fn close(self) {
        if self.len == 0 {
            // An empty file does no harm if it stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The digest of what a file still has to give, in hexadecimal.
pub(crate) fn sha256(file: &mut File) -> io::Result<String> {
    let mut hash = Hash::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FetchError + 'a {
    move |source| FetchError::File { path: path.to_owned(), action, source }
}
