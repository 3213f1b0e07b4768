//! Element-wise work on all cores.

use rayon::prelude::*;

use crate::NetScalar;

/// Calls `f` on a thread of the pool, so that what it hands out goes straight to the others: from outside,
/// every hand-out would be a message to the pool and a wait for its answer.
pub(crate) fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { f() } else { rayon::scope(|_| f()) }
}

/// Elements per task: enough that a task costs more than to hand it out.
const BLOCK: usize = 1 << 13;

/// How many planes of so many pixels one task takes: about as many as [`BLOCK`] elements.
pub(crate) fn planes_per_task(plane_len: usize) -> usize {
    BLOCK / plane_len.max(1) + 1
}

/// The sum of `f(a)` over the elements, in `f64` and in an order of its own: eight sums side by
/// side, then these.
pub(crate) fn sum_of<T: NetScalar>(a: &[T], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let (blocks, rest) = a.as_chunks::<8>();
    for block in blocks {
        for (sum, &a) in sums.iter_mut().zip(block) {
            *sum += f(a.to_f64());
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&a| f(a.to_f64())).sum::<f64>()
}

/// As [`sum_of`], of `f(a, b)` over the elements at the same place.
///
/// # Panics
///
/// If the lengths differ.
pub(crate) fn sum_of_pairs<T: NetScalar>(a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut sums = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f(a.to_f64(), b.to_f64());
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a.to_f64(), b.to_f64()));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// Replaces each element `y` by `f(x)` of the element `x` at the same place.
///
/// # Panics
///
/// If the lengths differ.
pub(crate) fn map_into<T, F>(x: &[T], y: &mut [T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(T) -> T + Sync,
{
    assert_eq!(x.len(), y.len());
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    });
}

/// Replaces each element of `out` by `f(a, b)` of the elements at the same place.
///
/// # Panics
///
/// If the lengths differ.
pub(crate) fn zip_into<T, F>(a: &[T], b: &[T], out: &mut [T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(T, T) -> T + Sync,
{
    assert_eq!(a.len(), out.len());
    assert_eq!(b.len(), out.len());
    let inputs = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK));
    out.par_chunks_mut(BLOCK).zip(inputs).for_each(|(out, (a, b))| {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = f(a, b);
        }
    });
}

/// As [`zip_into`], with the place of the elements: `out[i] = f(i, a[i])`.
pub(crate) fn map_indexed_into<T, F>(a: &[T], out: &mut [T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(usize, T) -> T + Sync,
{
    assert_eq!(a.len(), out.len());
    out.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK)).enumerate().for_each(|(block, (out, a))| {
        for (i, (out, &a)) in out.iter_mut().zip(a).enumerate() {
            *out = f(block * BLOCK + i, a);
        }
    });
}

/// Calls `f` with each element of `out`, to be changed, and that of `a` at the same place.
///
/// # Panics
///
/// If the lengths differ.
pub(crate) fn update<T, F>(out: &mut [T], a: &[T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(&mut T, T) + Sync,
{
    assert_eq!(a.len(), out.len());
    out.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK)).for_each(|(out, a)| {
        for (out, &a) in out.iter_mut().zip(a) {
            f(out, a);
        }
    });
}
