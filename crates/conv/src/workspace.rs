//! Scratch memory that outlives a call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ConvScalar;

/// Scratch memory for convolutions, owned by the caller and reused from call to call.
///
/// It starts empty and grows to what the largest plan needs; after the first call with a plan, on
/// the same number of threads, further calls allocate nothing. Its contents never influence a
/// result. One workspace serves any number of plans, one call at a time.
#[derive(Debug, Default)]
pub struct Workspace<T> {
    /// One buffer for each thread that may run at a time, handed out and taken back.
    columns: Mutex<Vec<Vec<T>>>,
    /// Partial sums of `dw`.
    partial: Vec<T>,
}

impl<T: ConvScalar> Workspace<T> {
    /// An empty workspace.
    #[must_use]
    pub fn new() -> Self {
        Self { columns: Mutex::new(Vec::new()), partial: Vec::new() }
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let columns: usize = lock(&self.columns).iter().map(Vec::capacity).sum();
        (columns + self.partial.capacity()) * size_of::<T>()
    }

    /// Scratch for one call: a buffer of `columns` elements for each thread of the current pool,
    /// and `partial` elements for sums.
    pub(crate) fn prepare(&mut self, columns: usize, partial: usize) -> Scratch<'_, T> {
        let buffers = self.columns.get_mut().unwrap_or_else(PoisonError::into_inner);
        let threads = rayon::current_num_threads();
        if buffers.len() < threads {
            buffers.resize_with(threads, Vec::new);
        }
        for buffer in buffers.iter_mut() {
            grow(buffer, columns);
        }
        grow(&mut self.partial, partial);
        Scratch {
            columns: Columns { buffers: &self.columns, len: columns },
            partial: &mut self.partial[..partial],
        }
    }
}

fn grow<T: ConvScalar>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
}

/// A panic elsewhere leaves no broken state behind: buffers have no invariant beyond their length.
fn lock<T>(buffers: &Mutex<Vec<Vec<T>>>) -> MutexGuard<'_, Vec<Vec<T>>> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scratch of one call.
pub(crate) struct Scratch<'a, T> {
    pub(crate) columns: Columns<'a, T>,
    pub(crate) partial: &'a mut [T],
}

/// The buffers of the threads.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a, T> {
    buffers: &'a Mutex<Vec<Vec<T>>>,
    len: usize,
}

impl<T: ConvScalar> Columns<'_, T> {
    /// Calls `f` with a buffer that nobody else has meanwhile. Its contents are arbitrary.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut [T]) -> R) -> R {
        // Popped in a statement of its own, so that the lock is not held during `f`.
        let taken = lock(self.buffers).pop();
        let mut buffer = taken.unwrap_or_default();
        grow(&mut buffer, self.len);
        let result = f(&mut buffer[..self.len]);
        lock(self.buffers).push(buffer);
        result
    }
}
