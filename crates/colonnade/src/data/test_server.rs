//! A web server for tests, on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A request, as far as tests want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    /// Where the range that was asked for begins.
    pub(super) from: Option<usize>,
}

/// Answers every request by a function of it and of how many came before. Ends when dropped.
pub(super) struct Server {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Request, usize) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (requests, over) = (Arc::clone(&seen), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Some((stream, request)) = stream.ok().and_then(read_request) else { continue };
                let mut seen = requests.lock().expect("nobody panics with it");
                let bytes = answer(&request, seen.len());
                seen.push(request);
                drop(seen);
                // By a thread of its own: who follows a redirect may hold on to the connection.
                thread::spawn(move || send(stream, &bytes));
            }
        });
        Self { address, seen, ended, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where the ranges of all requests so far began.
    pub(super) fn ranges(&self) -> Vec<Option<usize>> {
        self.seen.lock().expect("nobody panics with it").iter().map(|r| r.from).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // To wake it up.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_request(stream: TcpStream) -> Option<(TcpStream, Request)> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let from = headers
        .iter()
        .find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    Some((stream, Request { path, from }))
}

fn send(mut stream: TcpStream, bytes: &[u8]) {
    // The other side may have had enough.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// An answer with a body whose length is announced as `announced`.
pub(super) fn answer(status: &str, headers: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {announced}\r\nConnection: close\r\n{headers}\r\n"
    )
    .into_bytes();
    bytes.extend(body);
    bytes
}

/// What a server that knows ranges answers, of which no more than `most` bytes arrive.
pub(super) fn serve(request: &Request, file: &[u8], most: usize) -> Vec<u8> {
    let from = request.from.unwrap_or(0);
    if from >= file.len() {
        return answer("416 Range Not Satisfiable", "", 0, b"");
    }
    let rest = &file[from..];
    let sent = &rest[..most.min(rest.len())];
    match request.from {
        None => answer("200 OK", "", rest.len(), sent),
        Some(_) => {
            let range =
                format!("Content-Range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len());
            answer("206 Partial Content", &range, rest.len(), sent)
        }
    }
}
