//! Fetching from a server on this machine, by both ways.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::catalog::RemoteFile;
use super::fetch::{FetchError, Fetched, Request, fetch_by, sha256};
use super::test_server::{Server, answer, serve};
use super::transport::{by_curl, by_http};

/// Longer than any buffer on the way.
const LEN: usize = 300_000;

fn content() -> Vec<u8> {
    (0..LEN).map(|i| (i * i / 7) as u8).collect()
}

fn digest(bytes: &[u8]) -> String {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, bytes).expect("a file");
    sha256(&mut File::open(path).expect("a file")).expect("it can be read")
}

fn file(urls: &[String]) -> RemoteFile {
    let (name, urls) = ("set.bin".to_owned(), urls.to_vec());
    RemoteFile { name, size: LEN as u64, sha256: digest(&content()), urls }
}

/// Ours, and curl where there is one.
fn ways() -> Vec<Request> {
    let curl = Command::new("curl").arg("--version").output().is_ok();
    if curl { vec![by_http, by_curl] } else { vec![by_http] }
}

/// Does the same by every way.
fn by_every_way(test: impl Fn(&dyn Fn(&RemoteFile, &Path) -> Result<Fetched, FetchError>)) {
    for way in ways() {
        test(&|file, folder| fetch_by(way, file, folder, &|_| ()));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_digest_is_sha256() {
    // FIPS 180-2.
    assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_file_is_fetched_once() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| serve(request, &content(), LEN));
        let folder = tempdir().expect("a folder");
        let file = file(&[server.url("/a/set.bin")]);
        assert_eq!(fetch(&file, folder.path()).expect("it is there"), Fetched::Now);
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
        assert_eq!(names(folder.path()), ["set.bin"]);
        assert_eq!(fetch(&file, folder.path()).expect("it is here"), Fetched::Already);
        assert_eq!(server.ranges(), [None]);
    });
}

#[test]
fn progress_is_told_and_never_runs_back() {
    let server = Server::start(|request, _| serve(request, &content(), 100_000));
    let folder = tempdir().expect("a folder");
    let seen = RefCell::new(vec![0]);
    let file = file(&[server.url("/set.bin")]);
    fetch_by(by_http, &file, folder.path(), &|bytes| seen.borrow_mut().push(bytes))
        .expect("in three parts");
    let seen = seen.into_inner();
    assert!(seen.is_sorted() && seen.last() == Some(&(LEN as u64)), "{seen:?}");
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| serve(request, &content(), 100_000));
        let folder = tempdir().expect("a folder");
        let fetched = fetch(&file(&[server.url("/set.bin")]), folder.path());
        assert_eq!(fetched.expect("in three parts"), Fetched::Now);
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
        assert_eq!(server.ranges(), [None, Some(100_000), Some(200_000)]);
    });
}

#[test]
fn what_an_earlier_call_left_is_used() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| serve(request, &content(), LEN));
        let folder = tempdir().expect("a folder");
        let part = folder.path().join("set.bin.part");
        fs::write(&part, &content()[..123_456]).expect("a part");
        let file = file(&[server.url("/set.bin")]);
        fetch(&file, folder.path()).expect("the rest");
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
        assert_eq!(server.ranges(), [Some(123_456)]);

        // All of it, to which only the name was missing.
        fs::rename(folder.path().join("set.bin"), &part).expect("the same folder");
        fetch(&file, folder.path()).expect("nothing is missing");
        assert_eq!(names(folder.path()), ["set.bin"]);
        assert_eq!(server.ranges().len(), 1);
    });
}

#[test]
fn a_part_that_is_wrong_or_too_long_is_thrown_away() {
    for wrong in [vec![1; 1000], vec![1; LEN + 1], vec![1; LEN]] {
        by_every_way(|fetch| {
            let server = Server::start(|request, _| serve(request, &content(), LEN));
            let folder = tempdir().expect("a folder");
            fs::write(folder.path().join("set.bin.part"), &wrong).expect("a part");
            let urls = [server.url("/set.bin"), server.url("/other/set.bin")];
            fetch(&file(&urls), folder.path()).expect("from the beginning");
            assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
            assert_eq!(server.ranges().last(), Some(&None));
        });
    }
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    by_every_way(|fetch| {
        let server = Server::start(|_, _| answer("200 OK", "", LEN, &content()));
        let folder = tempdir().expect("a folder");
        fs::write(folder.path().join("set.bin.part"), &content()[..1000]).expect("a part");
        fetch(&file(&[server.url("/set.bin")]), folder.path()).expect("from the beginning");
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
    });
}

/// A part from elsewhere than where it was asked for must not be put together with ours.
#[test]
fn a_range_that_begins_elsewhere_is_not_used() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| match request.from {
            Some(_) => {
                let range = format!("Content-Range: bytes 0-{}/{LEN}\r\n", LEN - 1);
                answer("206 Partial Content", &range, LEN, &content())
            }
            None => answer("200 OK", "", LEN, &content()),
        });
        let folder = tempdir().expect("a folder");
        fs::write(folder.path().join("set.bin.part"), &content()[..1000]).expect("a part");
        fetch(&file(&[server.url("/set.bin")]), folder.path()).expect("from the beginning");
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
    });
}

#[test]
fn redirects_are_followed_and_loops_are_not() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| match request.path.as_str() {
            "/set.bin" => answer("302 Found", "Location: /moved/set.bin\r\n", 0, b""),
            "/loop" => answer("301 Moved Permanently", "Location: /loop\r\n", 0, b""),
            _ => serve(request, &content(), LEN),
        });
        let folder = tempdir().expect("a folder");
        let error = fetch(&file(&[server.url("/loop")]), folder.path()).expect_err("a loop");
        assert!(error.to_string().contains("/loop: "), "{error}");
        fetch(&file(&[server.url("/set.bin")]), folder.path()).expect("it was moved");
        assert_eq!(fs::read(folder.path().join("set.bin")).expect("it is here"), content());
    });
}

#[test]
fn other_content_is_never_kept() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| {
            let mut other = content();
            other[LEN / 2] ^= 1;
            serve(request, &other, LEN)
        });
        let folder = tempdir().expect("a folder");
        let error = fetch(&file(&[server.url("/set.bin")]), folder.path()).expect_err("one bit");
        let message = error.to_string();
        let expected = digest(&content());
        assert!(message.contains("has the sha256") && message.contains(&expected), "{message}");
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    });
}

#[test]
fn more_than_the_file_is_not_read() {
    by_every_way(|fetch| {
        let server = Server::start(|_, _| {
            let long = [content(), content()].concat();
            answer("200 OK", "", long.len(), &long)
        });
        let folder = tempdir().expect("a folder");
        let error = fetch(&file(&[server.url("/set.bin")]), folder.path()).expect_err("too long");
        assert!(error.to_string().contains("sends more than the 300000 bytes"), "{error}");
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    });
}

#[test]
fn the_next_place_is_tried_and_all_are_named() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| {
            if request.path.starts_with("/good") {
                serve(request, &content(), LEN)
            } else {
                answer("404 Not Found", "", 9, b"not found")
            }
        });
        // Nobody listens there any more.
        let closed = Server::start(|_, _| Vec::new()).url("/set.bin");
        let folder = tempdir().expect("a folder");
        let urls = [server.url("/bad/set.bin"), closed.clone()];
        let error = fetch(&file(&urls), folder.path()).expect_err("no place has it");
        let message = error.to_string();
        for part in [&urls[0], "404", &closed, "set.bin can't be fetched"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));

        let urls = [urls[0].clone(), closed, server.url("/good/set.bin")];
        assert_eq!(fetch(&file(&urls), folder.path()).expect("the third"), Fetched::Now);
    });
}

#[test]
fn a_server_that_never_gets_further_is_given_up_and_its_part_kept() {
    by_every_way(|fetch| {
        let server = Server::start(|request, _| match request.from {
            None => serve(request, &content(), 5000),
            Some(_) => answer("503 Service Unavailable", "", 0, b""),
        });
        let folder = tempdir().expect("a folder");
        let error = fetch(&file(&[server.url("/set.bin")]), folder.path()).expect_err("5000 bytes");
        assert!(matches!(error, FetchError::NoPlace { .. }), "{error}");
        assert_eq!(server.ranges(), [None, Some(5000), Some(5000), Some(5000)]);
        let part = fs::read(folder.path().join("set.bin.part")).expect("it is kept");
        assert_eq!(part, &content()[..5000]);
    });
}

#[test]
fn answers_that_are_not_http_are_errors() {
    for bytes in [
        &b""[..],
        b"\0\xff\xfe",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let bytes = bytes.to_vec();
        let server = Server::start(move |_, _| bytes.clone());
        let folder = tempdir().expect("a folder");
        let error = fetch_by(by_http, &file(&[server.url("/set.bin")]), folder.path(), &|_| ());
        assert!(matches!(error, Err(FetchError::NoPlace { .. })), "{error:?}");
    }
}

#[test]
fn another_file_of_the_name_is_left_alone() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("set.bin");
    fs::write(&path, b"mine").expect("a file");
    let error = fetch_by(by_http, &file(&[]), folder.path(), &|_| ()).expect_err("it is taken");
    assert!(matches!(error, FetchError::Occupied { .. }), "{error}");
    assert_eq!(fs::read(path).expect("it is here"), b"mine");
}

#[test]
fn two_processes_do_not_write_one_part() {
    let folder = tempdir().expect("a folder");
    let part = File::create(folder.path().join("set.bin.part")).expect("a file");
    part.lock().expect("nobody else has it");
    let error = fetch_by(by_http, &file(&[]), folder.path(), &|_| ()).expect_err("it is locked");
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
}

#[test]
fn a_disk_that_refuses_is_named() {
    let folder = tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let error = fetch_by(by_http, &file(&[]), &missing, &|_| ()).expect_err("no folder");
    assert!(error.to_string().contains("set.bin.part: can't create it"), "{error}");
}
