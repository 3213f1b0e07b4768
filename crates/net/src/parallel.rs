//! Element-wise work on all cores.

use conv::parallel::{piece, pieces};
use conv::{MulAdd, Vectorised, vectorised};

use crate::NetScalar;

/// Calls `f` on a thread of the pool, so that what it hands out goes straight to the others: from outside,
/// every hand-out would be a message to the pool and a wait for its answer.
pub(crate) fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    let (mut f, mut result) = (Some(f), None);
    enter(&mut || result = f.take().map(|f| f()));
    result.expect("it has run")
}

/// As [`in_pool`], of a pointer: rayon's code is compiled for it once.
fn enter(f: &mut (dyn FnMut() + Send)) {
    if rayon::current_thread_index().is_some() {
        conv::awake(f)
    } else {
        rayon::scope(|_| conv::awake(f))
    }
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

/// The loop `f(i, &mut out[i], a[i], b[i])`, with `i` counted from `first`.
struct Zip<'a, T, F> {
    first: usize,
    out: &'a mut [T],
    a: &'a [T],
    b: &'a [T],
    f: F,
}

impl<T: Copy, F: Fn(usize, &mut T, T, T)> Vectorised for Zip<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let inputs = self.a.iter().zip(self.b);
        for (i, (out, (&a, &b))) in self.out.iter_mut().zip(inputs).enumerate() {
            (self.f)(self.first + i, out, a, b);
        }
    }
}

/// Calls `f` with each place, the element of `out` there, to be changed, and those of `a` and `b`.
///
/// # Panics
///
/// If the lengths differ.
fn for_each<T, F>(a: &[T], b: &[T], out: &mut [T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(usize, &mut T, T, T) + Sync,
{
    assert_eq!(a.len(), out.len());
    assert_eq!(b.len(), out.len());
    let block = |block: usize, out: &mut [T], a: &[T], b: &[T]| {
        vectorised(Zip { first: block * BLOCK, out, a, b, f: &f });
    };
    if out.len() <= BLOCK {
        return block(0, out, a, b);
    }
    pieces(out, BLOCK, 1, &|i, out| {
        let [a, b] = [a, b].map(|all| piece(all, i, BLOCK));
        block(i, out, a, b);
    });
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
    for_each(x, x, y, |_, y, x, _| *y = f(x));
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
    for_each(a, b, out, |_, out, a, b| *out = f(a, b));
}

/// As [`map_into`], with the place of the elements: `out[i] = f(i, a[i])`.
pub(crate) fn map_indexed_into<T, F>(a: &[T], out: &mut [T], f: F)
where
    T: Copy + Send + Sync,
    F: Fn(usize, T) -> T + Sync,
{
    for_each(a, a, out, |i, out, a, _| *out = f(i, a));
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
    for_each(a, a, out, |_, out, a, _| f(out, a));
}
