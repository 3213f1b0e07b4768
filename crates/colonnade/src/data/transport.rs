//! One request for a file, or for the rest of it.
//!
//! Plain http is spoken by minreq. An https client would bring some twenty-five crates and a
//! second cryptography; for that, the program `curl` is asked, which systems have. Neither has
//! to be trusted: a file is kept only if its digest is right.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

use minreq::Error;

/// How long one request may take, in seconds. What has arrived by then is kept, and the next
/// request asks for the rest, so that this finds servers that fell silent, and no slow ones.
const TIMEOUT: u64 = 120;

const MAX_HEADERS: usize = 1 << 16;
const MAX_STATUS_LINE: usize = 1 << 12;

/// Why a request brought no file, or not all of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may go better the next time.
    Passing(String),
    /// The server can't send a part: begin anew.
    NoParts,
    /// This place doesn't have the file.
    Final(String),
}

/// The answer to a request.
pub(crate) struct Answer {
    /// Where in the file it begins: where was asked for, or at 0.
    pub(crate) start: u64,
    body: Body,
}

enum Body {
    Http(Box<minreq::ResponseLazy>),
    Curl(Curl),
}

/// A running curl; ended where it is dropped.
struct Curl(Child);

impl Drop for Curl {
    fn drop(&mut self) {
        // Fails where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks for the file at `url`, from the byte `from` on.
pub(crate) fn request(url: &str, from: u64) -> Result<Answer, Trouble> {
    if url.starts_with("http://") && !behind_a_proxy() {
        by_http(url, from)
    } else {
        by_curl(url, from)
    }
}

fn behind_a_proxy() -> bool {
    ["http_proxy", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// As [`request`], by minreq.
pub(super) fn by_http(url: &str, from: u64) -> Result<Answer, Trouble> {
    let mut request = minreq::get(url)
        .with_header("User-Agent", concat!("colonnade/", env!("CARGO_PKG_VERSION")))
        .with_timeout(TIMEOUT)
        .with_max_redirects(10)
        .with_max_headers_size(MAX_HEADERS)
        .with_max_status_line_length(MAX_STATUS_LINE);
    if from > 0 {
        request = request.with_header("Range", format!("bytes={from}-"));
    }
    let response = match request.send_lazy() {
        Ok(response) => response,
        // Redirected to https.
        Err(Error::HttpsFeatureNotEnabled) => return by_curl(url, from),
        Err(error @ (Error::IoError(_) | Error::AddressNotFound)) => {
            return Err(Trouble::Passing(error.to_string()));
        }
        Err(error) => return Err(Trouble::Final(error.to_string())),
    };
    let start = match response.status_code {
        200 => 0,
        206 if starts_at(&response, from) => from,
        206 | 416 => return Err(Trouble::NoParts),
        408 | 429 | 500..=599 => return Err(Trouble::Passing(status(&response))),
        _ => return Err(Trouble::Final(status(&response))),
    };
    Ok(Answer { start, body: Body::Http(Box::new(response)) })
}

/// Whether a part begins where it should.
fn starts_at(response: &minreq::ResponseLazy, from: u64) -> bool {
    let range =
        response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-range"));
    range.is_some_and(|(_, range)| range.trim().starts_with(&format!("bytes {from}-")))
}

fn status(response: &minreq::ResponseLazy) -> String {
    // The words are the server's: only what can be printed of them.
    let reason: String =
        response.reason_phrase.chars().filter(|c| !c.is_control()).take(60).collect();
    format!("the server answered {} {reason}", response.status_code).trim_end().to_owned()
}

/// As [`request`], by curl.
pub(super) fn by_curl(url: &str, from: u64) -> Result<Answer, Trouble> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--max-redirs", "10"])
        .args(["--proto", "=http,https", "--proto-redir", "=http,https"])
        .args(["--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60"]);
    if from > 0 {
        curl.args(["--continue-at", &from.to_string()]);
    }
    curl.args(["--output", "-", "--", url]);
    curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match curl.spawn() {
        Ok(child) => Ok(Answer { start: from, body: Body::Curl(Curl(child)) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::Final(
            "this place needs https or a proxy, which go through the program curl, and there is \
             no curl on the path"
                .to_owned(),
        )),
        Err(error) => Err(Trouble::Final(format!("curl can't be started: {error}"))),
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Body::Http(response) => response.read(buffer),
            Body::Curl(Curl(child)) => {
                child.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(buffer))
            }
        }
    }
}

impl Answer {
    /// Says, after the last byte was read, whether there was trouble that the bytes don't show.
    pub(crate) fn finish(mut self) -> Result<(), Trouble> {
        let Body::Curl(Curl(child)) = &mut self.body else { return Ok(()) };
        let mut words = Vec::new();
        let ended = match child.stderr.take() {
            Some(mut stderr) => stderr.read_to_end(&mut words).and_then(|_| child.wait()),
            None => child.wait(),
        };
        let status = ended.map_err(|error| Trouble::Passing(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&words);
        let words: String = words.trim().chars().filter(|c| !c.is_control()).take(200).collect();
        // The numbers are in curl's manual. 22: the server answered with an error.
        Err(match status.code() {
            Some(33 | 36) => Trouble::NoParts,
            Some(22) if words.contains(" 416") => Trouble::NoParts,
            Some(5 | 6 | 7 | 16 | 18 | 28 | 35 | 52 | 55 | 56 | 92) => Trouble::Passing(words),
            Some(22) if words.contains(" 5") || words.contains(" 429") => Trouble::Passing(words),
            _ => Trouble::Final(words),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_protocol_is_not_spoken() {
        for url in ["ftp://files.example/x", "file:///nowhere"] {
            let result = request(url, 0).and_then(|mut answer| {
                let mut bytes = Vec::new();
                answer.read_to_end(&mut bytes).expect("reading from a pipe");
                assert!(bytes.is_empty());
                answer.finish()
            });
            assert!(matches!(result, Err(Trouble::Final(_))), "{result:?}");
        }
    }
}
