//! Slices between pages that nobody may touch.
//!
//! A kernel that reads or writes one element too many, before its slice or behind it, mostly meets other
//! memory of the process, and no test notices. Between two forbidden pages it ends the process.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr;
use std::slice;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

/// Which end of a slice lies at a forbidden page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The slice begins right behind one.
    Begin,
    /// The slice ends right before one.
    End,
}

impl Edge {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Begin, Self::End];
}

/// A number, of which every pattern of bits is one.
pub trait Plain: Copy + sealed::Sealed {}

impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u8 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for u8 {}
}

/// A slice with a forbidden page at one of its ends; at the other there is one less than a page away.
#[derive(Debug)]
pub struct Guarded<T> {
    /// Where the mapping begins, and its bytes.
    mapping: (*mut libc::c_void, usize),
    data: *mut T,
    len: usize,
    owns: PhantomData<T>,
}

impl<T: Plain> Guarded<T> {
    /// A copy of some numbers.
    ///
    /// # Panics
    ///
    /// If the system gives no memory.
    #[must_use]
    pub fn new(from: &[T], edge: Edge) -> Self {
        report_faults();
        let page = page_len();
        let bytes = size_of_val(from);
        let inner = bytes.next_multiple_of(page).max(page);
        let len = inner + 2 * page;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of which no memory knows.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        assert!(base != libc::MAP_FAILED, "no {len} bytes: {}", std::io::Error::last_os_error());
        let first = base.wrapping_byte_add(page);
        // SAFETY: `inner` bytes of the mapping, whole pages, from its second page on.
        let status = unsafe { libc::mprotect(first, inner, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
        let offset = if edge == Edge::End { inner - bytes } else { 0 };
        let data = first.wrapping_byte_add(offset).cast::<T>();
        assert!(data.is_aligned(), "a page holds whole elements");
        // SAFETY: `bytes` bytes from `data` on lie within the pages that may be read and written; nothing
        // else is mapped there.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), data, from.len()) };
        Self { mapping: (base, len), data, len: from.len(), owns: PhantomData }
    }

    /// So many copies of a number.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn filled(value: T, len: usize, edge: Edge) -> Self {
        Self::new(&vec![value; len], edge)
    }
}

impl<T> Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements from `data` on have been written and live as long as `self`.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as `deref`; they belong to `self` alone.
        unsafe { slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let (base, len) = self.mapping;
        // SAFETY: the mapping that `new` made; nobody borrows of it any more.
        unsafe { libc::munmap(base, len) };
    }
}

fn page_len() -> usize {
    // SAFETY: a question without arguments in memory.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(len).expect("every system has pages")
}

/// What runs, for the message of a fault. Bytes that can be read without a lock, as a handler must.
static RUNNING: [AtomicU8; 1024] = [const { AtomicU8::new(0) }; 1024];

/// Says what runs from here on: a fault prints it before it ends the process.
pub fn announce(what: &str) {
    let bytes = what.bytes().chain([0]).take(RUNNING.len() - 1);
    RUNNING.iter().zip(bytes).for_each(|(to, byte)| to.store(byte, Ordering::Relaxed));
}

extern "C" fn fault(signal: libc::c_int) {
    let mut line = [0; RUNNING.len()];
    let mut len = 0;
    for byte in &RUNNING {
        line[len] = byte.load(Ordering::Relaxed);
        if line[len] == 0 {
            break;
        }
        len += 1;
    }
    let parts: [&[u8]; 3] = [b"memory beyond a slice was touched: ", &line[..len], b"\n"];
    for part in parts {
        // SAFETY: bytes of a slice; `write` may be called within a handler.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
    // SAFETY: `signal` may be called within a handler. The access happens again, and ends the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn report_faults() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handler: extern "C" fn(libc::c_int) = fault;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: the handler calls only what a handler may.
            unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        }
    });
}

/// The variable that tells a test to touch what it may not.
const TOUCH: &str = "TESTKIT_TOUCH";

/// Fails unless a read of one element too many ends the process, at both ends of a slice. To be called by
/// a test whose whole body it is, with the name of that test, which runs again in a process of its own.
///
/// # Panics
///
/// If reading beyond a slice goes unnoticed.
pub fn assert_faults_are_found(test: &str) {
    match std::env::var(TOUCH).as_deref() {
        Ok("begin") => touch_beyond(Edge::Begin),
        Ok(_) => touch_beyond(Edge::End),
        Err(_) => {}
    }
    let program = std::env::current_exe().expect("a test knows its program");
    for (edge, name) in Edge::ALL.into_iter().zip(["begin", "end"]) {
        let mut again = Command::new(&program);
        let again = again.args([test, "--exact", "--nocapture"]).env(TOUCH, name);
        let output = again.output().expect("a test starts its own program");
        let message = String::from_utf8_lossy(&output.stderr);
        let signal = output.status.signal();
        assert!([Some(libc::SIGSEGV), Some(libc::SIGBUS)].contains(&signal), "{edge:?}: {message}");
        assert!(message.contains("touched: one element too many"), "{edge:?}: {message}");
    }
}

/// Reads one element beyond a slice, on purpose.
fn touch_beyond(edge: Edge) -> ! {
    let numbers = Guarded::new(&[1.0_f32; 5], edge);
    announce("one element too many");
    let at = if edge == Edge::End { 5 } else { -1 };
    let beyond = numbers.data.wrapping_offset(at);
    // SAFETY: it lies within the mapping that `numbers` keeps, on a page that may not be read: the system
    // ends the process here.
    let value = unsafe { beyond.read_volatile() };
    panic!("a forbidden page could be read: {value}");
}
