//! How many floating-point operations a second the machine can do at most: fused multiply-adds
//! on registers alone, on every thread at once.

/// The FMA peak of the threads that it was measured on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Of all threads together, two operations for each multiply-add: 1e9 a second.
    pub gflops: f64,
    /// The instructions that reach it.
    pub instructions: &'static str,
}

/// Measures the peak of the current thread pool. Nothing yet: code without `unsafe` cannot choose
/// instructions at run time, and `conv` does not offer a kernel for it.
#[must_use]
pub fn measure() -> Option<Peak> {
    None
}
