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
    columns: Mutex<Vec<Aligned<T>>>,
    /// What the threads share: packed weights, transforms, partial sums.
    shared: Aligned<T>,
    /// An output that is yet to be pooled, or phases of a gradient that are yet to be put together.
    interim: Aligned<T>,
    /// Gradients by outputs of which a ReLU has left some.
    masked: Aligned<T>,
}

impl<T: ConvScalar> Workspace<T> {
    /// Elements that each piece of memory has beyond what is asked for.
    pub(crate) const SPARE: usize = Aligned::<T>::SPARE;

    /// An empty workspace.
    #[must_use]
    pub fn new() -> Self {
        Self {
            columns: Mutex::default(),
            shared: Aligned::new(),
            interim: Aligned::new(),
            masked: Aligned::new(),
        }
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let columns: usize = lock(&self.columns).iter().map(|buffer| buffer.data.capacity()).sum();
        let others = [&self.shared, &self.interim, &self.masked];
        let others: usize = others.map(|buffer| buffer.data.capacity()).iter().sum();
        (columns + others) * size_of::<T>()
    }

    /// Calls `f` with memory for `len` elements of what is not yet in its place, and with the rest of the
    /// workspace to compute it in.
    pub(crate) fn with_interim(&mut self, len: usize, f: impl FnOnce(&mut [T], &mut Self)) {
        let mut interim = std::mem::replace(&mut self.interim, Aligned::new());
        f(interim.get(len), self);
        self.interim = interim;
    }

    /// As [`with_interim`](Self::with_interim), for gradients by outputs of which a ReLU or a pool has left
    /// some.
    pub(crate) fn with_masked<R>(
        &mut self,
        len: usize,
        f: impl FnOnce(&mut [T], &mut Self) -> R,
    ) -> R {
        let mut masked = std::mem::replace(&mut self.masked, Aligned::new());
        let result = f(masked.get(len), self);
        self.masked = masked;
        result
    }

    /// Scratch for one call: a buffer of `columns` elements for each thread of the current pool,
    /// and `shared` elements for all.
    pub(crate) fn prepare(&mut self, columns: usize, shared: usize) -> Scratch<'_, T> {
        let buffers = self.columns.get_mut().unwrap_or_else(PoisonError::into_inner);
        let threads = rayon::current_num_threads();
        if buffers.len() < threads {
            buffers.resize_with(threads, Aligned::new);
        }
        for buffer in buffers.iter_mut() {
            buffer.get(columns);
        }
        let columns = Columns { buffers: &self.columns, len: columns };
        Scratch { columns, shared: self.shared.get(shared) }
    }
}

/// Memory that begins at a multiple of 64 bytes, a line of the cache.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
}

impl<T: ConvScalar> Aligned<T> {
    const LINE: usize = 64;
    /// Elements of a line, that the memory may begin at one.
    const SPARE: usize = Self::LINE / size_of::<T>();

    pub(crate) const fn new() -> Self {
        Self { data: Vec::new() }
    }

    /// So many elements, with arbitrary contents; allocates if there are fewer.
    pub(crate) fn get(&mut self, len: usize) -> &mut [T] {
        let needed = len + Self::SPARE;
        if self.data.len() < needed {
            // Freed first, and asked for as zeros: what is never written takes no memory, and the rest
            // is touched by the thread that writes it.
            self.data = Vec::new();
            self.data = vec![T::ZERO; needed];
        }
        let offset = self.offset();
        &mut self.data[offset..][..len]
    }

    /// The first so many elements of those that [`get`](Self::get) gave last.
    pub(crate) fn view(&self, len: usize) -> &[T] {
        &self.data[self.offset()..][..len]
    }

    /// Elements before the first line begins.
    fn offset(&self) -> usize {
        // Not exact where the allocator aligns an element to less than its size, as none does: then
        // nothing is aligned, and nothing is wrong.
        self.data.as_ptr().align_offset(Self::LINE).min(Self::SPARE)
    }
}

/// A panic elsewhere leaves no broken state behind: buffers have no invariant beyond their length.
fn lock<T>(buffers: &Mutex<Vec<Aligned<T>>>) -> MutexGuard<'_, Vec<Aligned<T>>> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scratch of one call.
pub(crate) struct Scratch<'a, T> {
    pub(crate) columns: Columns<'a, T>,
    pub(crate) shared: &'a mut [T],
}

/// The buffers of the threads.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a, T> {
    buffers: &'a Mutex<Vec<Aligned<T>>>,
    len: usize,
}

impl<T: ConvScalar> Columns<'_, T> {
    /// Calls `f` with a buffer that nobody else has meanwhile. Its contents are arbitrary.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut [T]) -> R) -> R {
        // Popped in a statement of its own, so that the lock is not held during `f`.
        let taken = lock(self.buffers).pop();
        let mut buffer = taken.unwrap_or_default();
        let result = f(buffer.get(self.len));
        lock(self.buffers).push(buffer);
        result
    }
}
