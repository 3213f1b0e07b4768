//! The affine map, `y = x W^T + b`, and its gradients, for batches so small that what counts is to
//! read each weight once.
//!
//! | tensor | shape, row by row |
//! |---|---|
//! | `x`, `dx` | `(images, inputs)` |
//! | `w`, `dw` | `(outputs, inputs)` |
//! | `y`, `dy` | `(images, outputs)` |
//!
//! Work is cut by the shape alone and every sum runs in a fixed order, so that results are
//! bit-identical for every number of threads. Nothing is allocated once `scratch` is long enough.

use crate::ConvScalar;
use crate::kernels::KernelSet;
use crate::kernels::dense::{Data, Dense, Dot, Forward, Strips, Transpose, Weights};
use crate::kernels::dispatch::fastest;
use crate::parallel::{piece, pieces};

/// Rows of weights per task.
const ROWS: usize = 16;
/// So many images are worth it to cut gradients into strips, on instruction sets of few registers.
const MANY_IMAGES: usize = 32;
/// Multiplications that a task is worth having for.
const WORTH_A_TASK: usize = 1 << 16;
/// Elements between the rows of a strip, so that they don't share the same lines of the cache.
const DATA_GAP: usize = 16;
/// Elements whose copy is worth a task.
const COPY_LEN: usize = 1 << 14;
/// Up to so many images each goes by itself: the lanes of a register would stay empty.
const FEW_IMAGES: usize = 3;

/// An affine map of so many numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affine {
    inputs: usize,
    outputs: usize,
    set: KernelSet,
}

impl Affine {
    /// A map from `inputs` to `outputs` numbers, on the instruction set that
    /// [`KernelSet::detect`] finds, or the fastest if that fails.
    #[must_use]
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, set: fastest() }
    }

    /// The same on another instruction set.
    ///
    /// # Panics
    ///
    /// If the CPU does not have it.
    #[must_use]
    pub fn on(self, set: KernelSet) -> Self {
        assert!(set.is_available(), "this CPU does not have {set}");
        Self { set, ..self }
    }

    fn kernels<T: ConvScalar>(self) -> &'static Dense<T> {
        T::dense(self.set).expect("the set is one that the CPU has")
    }

    /// How many images there are, of `len` numbers in all.
    fn images(self, len: usize, each: usize, other: usize, other_each: usize) -> usize {
        let images = len.checked_div(each).unwrap_or(0);
        assert_eq!(len, images * each, "whole images");
        assert!(each == 0 || other == images * other_each, "as many rows as images");
        images
    }

    /// How many things of so many multiplications each one task takes.
    fn per_task(multiplications: usize) -> usize {
        (WORTH_A_TASK / multiplications.max(1)).max(1)
    }

    /// Overwrites `y` with `x W^T + b`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn forward<T: ConvScalar>(
        self,
        x: &[T],
        w: &[T],
        bias: &[T],
        y: &mut [T],
        scratch: &mut Vec<T>,
    ) {
        let Self { inputs, outputs, .. } = self;
        assert_eq!((w.len(), bias.len()), (inputs * outputs, outputs));
        if inputs == 0 {
            return if outputs > 0 {
                y.chunks_exact_mut(outputs).for_each(|y| y.copy_from_slice(bias));
            };
        }
        let images = self.images(x.len(), inputs, y.len(), outputs);
        if images == 0 || outputs == 0 {
            return;
        }
        let kernels = self.kernels::<T>();
        let single = images <= FEW_IMAGES;
        let lanes = if single { 1 } else { kernels.lanes() };
        let panels = images.div_ceil(lanes);
        let panels_len = if single { 0 } else { panels * inputs * lanes };
        // With few registers a weight serves few images at a time: tasks that read all of them should be
        // few.
        let rows = match kernels.few_registers() && panels > 3 {
            true => per_thread(outputs),
            false => ROWS,
        };
        let sums_len = outputs * panels * lanes;
        let (packed, sums) = grown(scratch, panels_len + sums_len).split_at_mut(panels_len);
        if !single {
            transpose(kernels, x, inputs, packed);
        }
        let (packed, least) = (&*packed, Self::per_task(rows * inputs * images));
        pieces(sums, rows * panels * lanes, least, &|block, y| {
            let w = piece(w, block, rows * inputs);
            match single {
                true => kernels.dot(Dot { w, inputs, x, y }),
                false => kernels.forward(Forward { w, inputs, panels: packed, y }),
            }
        });
        for (image, y) in y.chunks_exact_mut(outputs).enumerate() {
            let blocks = y.chunks_mut(rows).zip(bias.chunks(rows));
            for ((y, bias), sums) in blocks.zip(sums.chunks(rows * panels * lanes)) {
                let first = image / lanes * lanes * y.len() + image % lanes;
                for (i, (y, &bias)) in y.iter_mut().zip(bias).enumerate() {
                    *y = sums[first + i * lanes] + bias;
                }
            }
        }
    }

    /// Overwrites `dw` with the gradient by the weights, `dy^T x`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn backward_weights<T: ConvScalar>(self, x: &[T], dy: &[T], dw: &mut [T]) {
        let Self { inputs, outputs, .. } = self;
        assert_eq!(dw.len(), inputs * outputs);
        if dw.is_empty() {
            return;
        }
        let images = self.images(x.len(), inputs, dy.len(), outputs);
        let kernels = self.kernels::<T>();
        if kernels.few_registers() && images >= MANY_IMAGES {
            let rows = per_thread(outputs);
            let least = Self::per_task(rows * inputs * images);
            return pieces(dw, rows * inputs, least, &|block, out| {
                let a = &dy[block * rows..];
                let (a_row, a_step, depth) = (1, outputs, images);
                kernels.strips(Strips { a, a_row, a_step, b: x, depth, cols: inputs, out });
            });
        }
        pieces(dw, ROWS * inputs, Self::per_task(ROWS * inputs * images), &|block, dw| {
            let dy = &dy[(block * ROWS).min(dy.len())..];
            kernels.weights(Weights { x, inputs, dy, stride: outputs, dw });
        });
    }

    /// Overwrites `dx` with the gradient by the data, `dy W`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn backward_data<T: ConvScalar>(
        self,
        w: &[T],
        dy: &[T],
        dx: &mut [T],
        scratch: &mut Vec<T>,
    ) {
        let Self { inputs, outputs, .. } = self;
        assert_eq!(w.len(), inputs * outputs);
        if dx.is_empty() || outputs == 0 {
            return dx.fill(T::ZERO);
        }
        let images = self.images(dx.len(), inputs, dy.len(), outputs);
        let kernels = self.kernels::<T>();
        if kernels.few_registers() && images >= MANY_IMAGES {
            return self.data_by_strips(w, dy, dx);
        }
        // Columns per task: enough of each row that reading it is worth a start.
        let cols = if inputs >= 4096 { 512 } else { 128 };
        let row = cols + DATA_GAP;
        let strips = grown(scratch, images * row * inputs.div_ceil(cols));
        pieces(strips, images * row, Self::per_task(images * cols * outputs), &|strip, dx| {
            let first = strip * cols;
            let (w, cols) = (&w[first..], cols.min(inputs - first));
            kernels.data(Data { w, inputs, dy, outputs, dx, cols, row });
        });
        let strips = &*strips;
        let least = COPY_LEN.div_ceil(inputs);
        pieces(dx, inputs, least, &|image, dx| {
            for (dx, strip) in dx.chunks_mut(cols).zip(strips.chunks_exact(images * row)) {
                dx.copy_from_slice(&strip[image * row..][..dx.len()]);
            }
        });
    }

    /// As [`backward_data`](Self::backward_data), on any instruction set and without scratch memory.
    ///
    /// # Panics
    ///
    /// If a length does not fit, or there are no inputs or no outputs.
    pub(crate) fn data_by_strips<T: ConvScalar>(self, w: &[T], dy: &[T], dx: &mut [T]) {
        let Self { inputs, outputs, .. } = self;
        let images = self.images(dx.len(), inputs, dy.len(), outputs);
        let (kernels, rows) = (self.kernels::<T>(), per_thread(images));
        let least = Self::per_task(rows * inputs * outputs);
        pieces(dx, rows * inputs, least, &|block, out| {
            let a = &dy[block * rows * outputs..];
            let (a_row, a_step, depth) = (outputs, 1, outputs);
            kernels.strips(Strips { a, a_row, a_step, b: w, depth, cols: inputs, out });
        });
    }
}

/// How many of `all` rows a task takes, if each thread takes one: every element is one sum in one order, so
/// that how they are cut may depend on the threads.
fn per_thread(all: usize) -> usize {
    /// Rows of two tiles, or one.
    const TILE: usize = 6;
    all.div_ceil(rayon::current_num_threads()).next_multiple_of(TILE).max(ROWS)
}

/// Writes the images to panels with the images in the lanes.
fn transpose<T: ConvScalar>(kernels: &Dense<T>, x: &[T], inputs: usize, packed: &mut [T]) {
    /// Elements of an image per task.
    const PIECE: usize = 512;
    let lanes = kernels.lanes();
    let panel_len = inputs * lanes;
    pieces(packed, panel_len, Affine::per_task(panel_len), &|i, panel| {
        let x = piece(x, i, panel_len);
        pieces(panel, PIECE * lanes, 8, &|part, panel| {
            kernels.transpose(Transpose { x, inputs, from: part * PIECE, panel });
        });
    });
}

fn grown<T: ConvScalar>(scratch: &mut Vec<T>, len: usize) -> &mut [T] {
    if scratch.len() < len {
        scratch.resize(len, T::ZERO);
    }
    &mut scratch[..len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 97) as f64 / 48.0 - 1.0).collect()
    }

    fn matches<T: ConvScalar>(tolerance: f64) {
        let cast = |v: &[f64]| -> Vec<T> { v.iter().map(|&v| T::from_f64(v)).collect() };
        let close = |actual: &[T], expected: &[f64], what: &str| {
            for (a, e) in actual.iter().zip(expected) {
                // Sums of thousands run in order, each term rounded with them.
                let most = tolerance * (40.0 + 4.0 * e.abs());
                assert!((a.to_f64() - e).abs() <= most, "{what}: {a} for {e}");
            }
        };
        for set in KernelSet::available() {
            for (n, inputs, outputs) in [
                (1, 1, 1),
                (1, 33, 9),
                (2, 100, 17),
                (3, 7, 40),
                (4, 50, 10),
                (16, 48, 16),
                (17, 130, 37),
                (33, 515, 5),
                (5, 600, 20),
                (16, 4100, 18),
                (300, 70, 7),
                (40, 50, 270),
            ] {
                let (x, w, b) =
                    (numbers(n * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
                let dy = numbers(n * outputs, 4);
                let (mut y, mut dx) = (vec![0.0; n * outputs], vec![0.0; n * inputs]);
                let mut dw = vec![0.0; w.len()];
                naive::affine(&x, &w, &b, &mut y);
                naive::affine_gradients(inputs, [&x, &w, &dy], &mut dw, &mut dx);
                let map = Affine::new(inputs, outputs).on(set);
                let [tx, tw, tb, tdy] = [&x, &w, &b, &dy].map(|v| cast(v));
                let mut scratch = vec![T::NAN; 3];
                let (mut ty, mut tdx) = (vec![T::NAN; y.len()], vec![T::NAN; dx.len()]);
                let mut tdw = vec![T::NAN; dw.len()];
                map.forward(&tx, &tw, &tb, &mut ty, &mut scratch);
                map.backward_weights(&tx, &tdy, &mut tdw);
                map.backward_data(&tw, &tdy, &mut tdx, &mut scratch);
                let case = format!("{set}, {n} x {inputs} -> {outputs}");
                close(&ty, &y, &format!("y, {case}"));
                close(&tdw, &dw, &format!("dw, {case}"));
                close(&tdx, &dx, &format!("dx, {case}"));
            }
        }
    }

    #[test]
    fn every_set_computes_what_three_loops_do() {
        matches::<f32>(1e-5);
        matches::<f64>(1e-13);
    }

    #[test]
    fn nothing_in_gives_the_bias_and_no_image_nothing() {
        let mut y = [f32::NAN; 4];
        Affine::new(0, 2).forward(&[], &[], &[1.0, 2.0], &mut y, &mut Vec::new());
        assert_eq!(y, [1.0, 2.0, 1.0, 2.0]);
        let mut dw = [f32::NAN; 2];
        Affine::new(2, 1).backward_weights(&[], &[], &mut dw);
        assert_eq!(dw, [0.0; 2]);
    }
}
