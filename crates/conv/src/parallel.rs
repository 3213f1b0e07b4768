//! Loops over pieces of memory, on all threads of the current `rayon` pool.
//!
//! Each takes its body behind a pointer: rayon's code is then compiled once for a type of elements and not once
//! for each loop, which was half of the code of a program that trains.

use rayon::prelude::*;

/// Calls `f` with the number and the elements of each piece of so many; the last may have fewer. A thread is
/// given at least `least` pieces at a time.
///
/// ```
/// let mut squares = [0; 7];
/// conv::parallel::pieces(&mut squares, 3, 1, &|piece, squares| {
///     for (i, square) in squares.iter_mut().enumerate() {
///         *square = (3 * piece + i).pow(2);
///     }
/// });
/// assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36]);
/// ```
///
/// # Panics
///
/// If `len` is 0.
pub fn pieces<T: Send>(
    data: &mut [T],
    len: usize,
    least: usize,
    f: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    let pieces = data.par_chunks_mut(len).enumerate().with_min_len(least);
    pieces.for_each(|(i, piece)| f(i, piece));
}

/// The piece of number `i`, of so many elements; the last may have fewer.
///
/// ```
/// assert_eq!(conv::parallel::piece(&[1, 2, 3, 4, 5], 1, 3), [4, 5]);
/// ```
///
/// # Panics
///
/// If it begins behind the end.
pub fn piece<T>(data: &[T], i: usize, len: usize) -> &[T] {
    &data[i * len..data.len().min((i + 1) * len)]
}

/// What is done with the number of a piece and its elements in both slices.
pub type OfBoth<'a, T, U> = dyn Fn(usize, &mut [T], &mut [U]) + Sync + 'a;

/// As [`pieces`], with those of two slices at a time, of lengths of their own, until one has no more.
///
/// ```
/// let (mut rows, mut sums) = ([1, 2, 3, 4, 5, 6], [0; 3]);
/// conv::parallel::pieces_of_both((&mut rows, 2), (&mut sums, 1), 1, &|row, values, sum| {
///     values[0] *= 10;
///     sum[0] = values[0] + values[1] + 100 * row;
/// });
/// assert_eq!((rows, sums), ([10, 2, 30, 4, 50, 6], [12, 134, 256]));
/// ```
///
/// # Panics
///
/// If a length is 0.
pub fn pieces_of_both<T: Send, U: Send>(
    (a, a_len): (&mut [T], usize),
    (b, b_len): (&mut [U], usize),
    least: usize,
    f: &OfBoth<'_, T, U>,
) {
    let both = a.par_chunks_mut(a_len).zip(b.par_chunks_mut(b_len));
    both.enumerate().with_min_len(least).for_each(|(i, (a, b))| f(i, a, b));
}

/// Runs both, on two threads where one is free.
///
/// ```
/// let (mut a, mut b) = (0, 0);
/// conv::parallel::both(|| a = 1, || b = 2);
/// assert_eq!((a, b), (1, 2));
/// ```
pub fn both(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    let (mut a, mut b) = (Some(a), Some(b));
    join(&mut || a.take().map_or((), |a| a()), &mut || b.take().map_or((), |b| b()));
}

fn join(a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
    rayon::join(a, b);
}

/// Calls `f` with each number below `count`; threads draw them one by one, but at least `least` at a time.
pub(crate) fn tasks(count: usize, least: usize, f: &(dyn Fn(usize) + Sync)) {
    (0..count).into_par_iter().with_max_len(1).with_min_len(least).for_each(f);
}
