//! What a forward pass writes.

use crate::parallel::both;

/// Planes of the output of a forward pass, one after the other: pixels, or pooled pixels and which of
/// the four pixels under each has won.
#[derive(Debug)]
pub(crate) struct Out<'a, T> {
    pub(crate) y: &'a mut [T],
    /// As long as `y`, or empty where it is not asked for.
    pub(crate) argmax: &'a mut [u8],
}

impl<T> Default for Out<'_, T> {
    fn default() -> Self {
        Self { y: &mut [], argmax: &mut [] }
    }
}

impl<'a, T> Out<'a, T> {
    /// Pixels that are not pooled.
    pub(crate) fn new(y: &'a mut [T]) -> Self {
        Self { y, argmax: &mut [] }
    }

    pub(crate) fn len(&self) -> usize {
        self.y.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    pub(crate) fn reborrow(&mut self) -> Out<'_, T> {
        Out { y: self.y, argmax: self.argmax }
    }

    /// The elements before `mid`, and the others.
    pub(crate) fn split_at(self, mid: usize) -> [Self; 2] {
        let (y, y_rest) = self.y.split_at_mut(mid);
        let (argmax, argmax_rest) = self.argmax.split_at_mut(mid.min(self.argmax.len()));
        [Self { y, argmax }, Self { y: y_rest, argmax: argmax_rest }]
    }

    /// The elements from one on; none if there is none.
    pub(crate) fn from(self, first: usize) -> Self {
        let first = first.min(self.len());
        let [_, rest] = self.split_at(first);
        rest
    }

    /// Pieces of `len` elements; the last may have fewer.
    pub(crate) fn chunks(self, len: usize) -> Chunks<'a, T> {
        Chunks { rest: self, len }
    }
}

impl<T: Send> Out<'_, T> {
    /// Calls `f` with each piece of `len` elements and its number, in parallel, at least `least` of
    /// them on a thread at a time; the last may have fewer elements.
    pub(crate) fn par_chunks(
        self,
        len: usize,
        least: usize,
        f: &(dyn Fn(usize, Out<'_, T>) + Sync),
    ) {
        let count = self.len().div_ceil(len);
        self.halves((0, count), len, least.max(1), f);
    }

    /// The pieces from the given number on, so many of them.
    fn halves(
        self,
        (first, count): (usize, usize),
        len: usize,
        least: usize,
        f: &(dyn Fn(usize, Out<'_, T>) + Sync),
    ) {
        if count < 2 * least {
            for (i, piece) in self.chunks(len).enumerate() {
                f(first + i, piece);
            }
            return;
        }
        let half = count / 2;
        let [a, b] = self.split_at(half * len);
        both(
            || a.halves((first, half), len, least, f),
            || b.halves((first + half, count - half), len, least, f),
        );
    }
}

/// See [`Out::chunks`].
#[derive(Debug)]
pub(crate) struct Chunks<'a, T> {
    rest: Out<'a, T>,
    len: usize,
}

impl<T> Default for Chunks<'_, T> {
    fn default() -> Self {
        Self { rest: Out::default(), len: 0 }
    }
}

impl<'a, T> Iterator for Chunks<'a, T> {
    type Item = Out<'a, T>;

    fn next(&mut self) -> Option<Out<'a, T>> {
        if self.rest.is_empty() {
            return None;
        }
        let mid = self.len.min(self.rest.len());
        let [first, rest] = std::mem::take(&mut self.rest).split_at(mid);
        self.rest = rest;
        Some(first)
    }
}
