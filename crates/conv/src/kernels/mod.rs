//! The kernels: the innermost loops, compiled for each instruction set.
//!
//! All unsafe code of this crate stands in this folder. A [`Kernels`] table can only be had for an
//! instruction set that the CPU has, and its methods check every slice before they call into
//! unsafe code, so that they are safe to call.

#![allow(unsafe_code)]
// Arrays of registers are indexed by constants once their loops are unrolled.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod dense;
mod direct;
pub(crate) mod dispatch;
mod fma;
pub(crate) mod lanes;
pub(crate) mod max_pool;
mod mirror;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
pub(crate) mod pairs;
mod pixels;
pub(crate) mod plane_rows;
mod pool;
mod relu_grad;
mod scalar;
mod set;
mod vector;
mod weight_grad;
mod weight_grad_lanes;
mod weight_grad_panel;
#[macro_use]
mod weight_grad_table;
pub(crate) mod winograd;

pub(crate) use direct::Area;
pub use fma::{FmaBurst, fma_burst};
pub(crate) use mirror::{MAX_MIRRORED_LEN, Mirror};
pub(crate) use pack::Pack;
pub(crate) use pixels::Pick;
pub(crate) use pool::Pool;
pub(crate) use relu_grad::{ReluGrad, Unpool};
pub(crate) use set::HasKernels;
pub use set::KernelSet;
pub(crate) use weight_grad::WeightGrad;
pub(crate) use weight_grad_lanes::PlaneGrad;
pub(crate) use weight_grad_panel::{Gather, Panel};

/// The kernels of one instruction set for one element type.
#[derive(Debug)]
pub struct Kernels<T: 'static> {
    /// The instruction set.
    pub(crate) set: KernelSet,
    /// Elements in a register.
    pub(crate) lanes: usize,
    direct: unsafe fn(&mut Area<'_, T>),
    pixels: unsafe fn(&mut Area<'_, T>),
    pick: unsafe fn(&mut Pick<'_, T>),
    pack: unsafe fn(&mut Pack<'_, T>),
    pack_mirrored: unsafe fn(&mut Mirror<'_, T>),
    pool: unsafe fn(&mut Pool<'_, T>),
    relu_grad: unsafe fn(&mut ReluGrad<'_, T>),
    unpool: unsafe fn(&mut Unpool<'_, T>),
    /// How many output channels [`pixels`](Self::pixels) sums at a time.
    pixels_rows: usize,
    /// How many output channels are summed at a time with pixels in the lanes.
    pub(crate) lanes_rows: usize,
    sum_lanes: unsafe fn(&mut lanes::Lanes<'_, T>),
    sum_plane: unsafe fn(&mut lanes::Plane<'_, T>),
    copy_rows: unsafe fn(&mut lanes::Rows<'_, T>),
    /// How many registers of output channels a gradient by the weights sums at a time, at most.
    pub(crate) grad_vectors: usize,
    weight_grad: unsafe fn(&mut WeightGrad<'_, T>),
    grad_panel: unsafe fn(&mut Panel<'_, T>),
    grad_gather: unsafe fn(&mut Gather<'_, T>),
    /// How many output channels are summed at a time there, at most.
    pub(crate) plane_grad_channels: usize,
    plane_grad: unsafe fn(&mut PlaneGrad<'_, T>),
    plane_weights: unsafe fn(&mut lanes::PlaneWeights<'_, T>),
    winograd_product: unsafe fn(&mut winograd::Product<'_, T>),
    /// The transforms of each form of Winograd's algorithm.
    winograd: [WinogradForm<T>; winograd::Form::COUNT],
}

/// The transforms of one form of Winograd's algorithm.
#[derive(Debug)]
struct WinogradForm<T: 'static> {
    input: unsafe fn(&mut winograd::Input<'_, T>),
    output: unsafe fn(&mut winograd::Output<'_, '_, T>),
    output_pairs: unsafe fn(&mut winograd::OutputPairs<'_, '_, T>),
    filter: unsafe fn(&mut winograd::Filter<'_, T>),
    output_grad: unsafe fn(&mut winograd::OutputGrad<'_, T>),
    filter_grad: unsafe fn(&mut winograd::FilterGrad<'_, T>),
}

impl<T> Kernels<T> {
    /// Computes an area of the output; overwrites it.
    ///
    /// # Panics
    ///
    /// If the area reaches beyond its slices.
    pub(crate) fn direct(&self, mut area: Area<'_, T>) {
        area.check(self.lanes);
        // SAFETY: the area has been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.direct)(&mut area) }
    }

    /// Packs weights; overwrites `packed`.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn pack(&self, mut pack: Pack<'_, T>) {
        pack.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.pack)(&mut pack) }
    }

    /// Sums with pixels in the lanes; overwrites the output.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn sum_lanes(&self, mut args: lanes::Lanes<'_, T>) {
        args.check(self.lanes, self.lanes_rows);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.sum_lanes)(&mut args) }
    }

    /// Sums a plane by itself under a window of its own; overwrites the output.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices, or no kernel is made for the window.
    pub(crate) fn sum_plane(&self, mut args: lanes::Plane<'_, T>) {
        args.check();
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.sum_plane)(&mut args) }
    }

    /// Copies rows between borders of 0, sorted by the places of their columns within a stride.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn copy_rows(&self, mut args: lanes::Rows<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.copy_rows)(&mut args) }
    }
}

/// Defines the functions of one table and the table itself.
///
/// The lists say how many columns of how many rows a tile of the direct convolution may have; `|`
/// separates what one register and two registers of output channels leave room for. The last list has
/// the tiles of gradients by weights: places, columns and registers. `lanes` says how many output channels and
/// registers of pixels a tile has whose pixels stand in the lanes: on AVX2 not four by three, for which the
/// compiler has a register too few, so that it spills a sum and with it half of the speed.
macro_rules! table {
    ($name:ident, $set:ident, $elem:ty, $vector:ty, $(#[$feature:meta])? $rows:literal,
        lanes: $lanes_rows:literal $lanes_cols:literal,
        1: [$($one:literal)*], 2: [$($two_1:literal)* | $($two_2:literal)*],
        4: [$($four_1:literal)* | $($four_2:literal)*],
        grad: [$($places:literal $taps:literal $registers:literal),*]) => {
        mod $name {
            use super::direct::{self, Area};
            use super::mirror::{self, Mirror};
            use super::pack::{self, Pack};
            use super::pixels::{self, Pick};
            use super::pool::{self, Pool};
            use super::{lanes, winograd};
            use super::vector::Vector;
            use super::relu_grad::{self, ReluGrad, Unpool};
            use super::{Gather, Panel, PlaneGrad, WeightGrad};
            use super::{weight_grad, weight_grad_lanes, weight_grad_panel};
            use super::{KernelSet, Kernels, WinogradForm};

            $(#[$feature])?
            unsafe fn tile<const N: usize, const R: usize, const P: usize>(
                area: &Area<'_, $elem>,
                row: usize,
                col: usize,
                sums: &mut direct::Sums<$elem>,
            ) {
                // SAFETY: that of the caller, who has made sure of the CPU and the slices.
                unsafe { direct::tile::<$vector, N, R, P>(area, row, col, sums) }
            }

            $(#[$feature])?
            unsafe fn finish(
                area: &mut Area<'_, $elem>,
                row: usize,
                col: usize,
                rows: usize,
                cols: usize,
                sums: &direct::Sums<$elem>,
            ) {
                // SAFETY: as above.
                unsafe { direct::finish::<$vector>(area, row, col, (rows, cols), sums) }
            }

            unsafe fn direct(area: &mut Area<'_, $elem>) {
                const LIMITS: direct::Limits = direct::Limits {
                    cols: [$($one),*].len(),
                    by_2: [[$($two_1),*].len(), [$($two_2),*].len()],
                    by_4: [[$($four_1),*].len(), [$($four_2),*].len()],
                };
                let mut sums = direct::Sums::new();
                direct::for_each_tile(area, &LIMITS, |area, row, col, rows, cols| {
                    // SAFETY: as above; the tile is one of the area.
                    unsafe {
                        match (area.vectors, rows, cols) {
                            $((1, 1, $one) => tile::<1, 1, $one>(area, row, col, &mut sums),)*
                            $((2, 1, $one) => tile::<2, 1, $one>(area, row, col, &mut sums),)*
                            $((1, 2, $two_1) => tile::<1, 2, $two_1>(area, row, col, &mut sums),)*
                            $((2, 2, $two_2) => tile::<2, 2, $two_2>(area, row, col, &mut sums),)*
                            $((1, 4, $four_1) => tile::<1, 4, $four_1>(area, row, col, &mut sums),)*
                            $((2, 4, $four_2) => tile::<2, 4, $four_2>(area, row, col, &mut sums),)*
                            (vectors, rows, cols) => unreachable!(
                                "a tile of {rows} by {cols} pixels and {vectors} registers"
                            ),
                        }
                        finish(area, row, col, rows, cols, &sums);
                    }
                });
            }

            $(#[$feature])?
            unsafe fn pixels(area: &mut Area<'_, $elem>) {
                // SAFETY: as above.
                unsafe { pixels::pixels::<$vector, $rows>(area) }
            }

            $(#[$feature])?
            unsafe fn pick(args: &mut Pick<'_, $elem>) {
                // SAFETY: as above.
                unsafe { pixels::pick::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn pack(p: &mut Pack<'_, $elem>) {
                // SAFETY: as above.
                unsafe { pack::pack::<$vector>(p) }
            }

            $(#[$feature])?
            unsafe fn pack_mirrored(args: &mut Mirror<'_, $elem>) {
                // SAFETY: as above.
                unsafe { mirror::mirror::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn pool(args: &mut Pool<'_, $elem>) {
                // SAFETY: as above.
                unsafe {
                    match args.argmax.is_empty() {
                        true => pool::pool::<$vector, false>(args),
                        false => pool::pool::<$vector, true>(args),
                    }
                }
            }

            $(#[$feature])?
            unsafe fn lines<const R: usize, const C: usize, const D: usize, const F: u8>(
                args: &mut lanes::Lanes<'_, $elem>,
                cuts: lanes::Cuts,
            ) {
                // SAFETY: as above.
                unsafe { lanes::lines::<$vector, R, C, D, F>(args, cuts) }
            }

            unsafe fn fill<const R: usize, const C: usize, const D: usize>(
                args: &mut lanes::Lanes<'_, $elem>,
                cuts: lanes::Cuts,
            ) {
                // SAFETY: as above.
                unsafe {
                    match args.fill {
                        lanes::Fill::Rows => lines::<R, C, D, { lanes::ROWS }>(args, cuts),
                        lanes::Fill::RunOn => lines::<R, C, D, { lanes::RUN_ON }>(args, cuts),
                        lanes::Fill::Stacked => lines::<R, C, D, { lanes::STACKED }>(args, cuts),
                    }
                }
            }

            unsafe fn sum_lanes(args: &mut lanes::Lanes<'_, $elem>) {
                // Where no more are written, no more need be computed.
                const FEWER: usize = $lanes_rows * 3 / 4;
                let single = args.rows == 1;
                let most = if single { lanes::MAX_COLS } else { $lanes_cols };
                let cuts = args.cuts(<$vector as Vector>::LANES, most);
                // SAFETY: as above; the cuts are those of the arguments.
                unsafe {
                    match (single, args.out_channels <= FEWER, cuts.cols) {
                        (true, _, 1) => fill::<1, 1, 1>(args, cuts),
                        (true, _, 2) => fill::<1, 2, 1>(args, cuts),
                        (true, _, 3) => fill::<1, 3, 2>(args, cuts),
                        (true, ..) => fill::<1, 4, 3>(args, cuts),
                        (false, true, 1) => fill::<FEWER, 1, 1>(args, cuts),
                        (false, true, 2) => fill::<FEWER, 2, 1>(args, cuts),
                        (false, true, _) => {
                            fill::<FEWER, $lanes_cols, { $lanes_cols - 1 }>(args, cuts);
                        }
                        (false, false, 1) => fill::<$lanes_rows, 1, 1>(args, cuts),
                        (false, false, 2) => fill::<$lanes_rows, 2, 1>(args, cuts),
                        (false, false, _) => {
                            fill::<$lanes_rows, $lanes_cols, { $lanes_cols - 1 }>(args, cuts);
                        }
                    }
                }
            }

            $(#[$feature])?
            unsafe fn copy_rows(args: &mut lanes::Rows<'_, $elem>) {
                // SAFETY: as above.
                unsafe { lanes::copy::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn plane<const K: usize, const S: usize>(args: &mut lanes::Plane<'_, $elem>) {
                // SAFETY: as above.
                unsafe { lanes::plane::<$vector, K, S>(args) }
            }

            unsafe fn sum_plane(args: &mut lanes::Plane<'_, $elem>) {
                // SAFETY: as above.
                unsafe {
                    match (args.kernel, args.stride) {
                        (3, 1) => plane::<3, 1>(args),
                        (3, 2) => plane::<3, 2>(args),
                        (5, 1) => plane::<5, 1>(args),
                        (5, 2) => plane::<5, 2>(args),
                        (kernel, stride) => {
                            unreachable!("a plane under a kernel of {kernel} with stride {stride}")
                        }
                    }
                }
            }

            weight_grads!($elem, $vector, $(#[$feature])?, $($places $taps $registers),*);

            $(#[$feature])?
            unsafe fn product<const R: usize, const C: usize>(
                args: &mut winograd::Product<'_, $elem>,
            ) {
                // SAFETY: as above.
                unsafe { winograd::product::<$vector, R, C>(args) }
            }

            unsafe fn winograd_product(args: &mut winograd::Product<'_, $elem>) {
                // A single register of tiles leaves room for twice the output channels.
                const TWICE: usize =
                    if 2 * $rows <= <$vector as Vector>::LANES { 2 * $rows } else { $rows };
                // SAFETY: as above.
                unsafe {
                    match args.cols {
                        1 if args.rows > $rows => product::<TWICE, 1>(args),
                        1 => product::<$rows, 1>(args),
                        2 => product::<$rows, 2>(args),
                        3 => product::<$rows, 3>(args),
                        cols => unreachable!("a product of {cols} registers"),
                    }
                }
            }

            $(#[$feature])?
            unsafe fn input<F: winograd::Points<IN>, const OUT: usize, const IN: usize>(
                args: &mut winograd::Input<'_, $elem>,
            ) {
                // SAFETY: as above.
                unsafe { winograd::input::<$vector, F, OUT, IN>(args) }
            }

            $(#[$feature])?
            unsafe fn output<F: winograd::Points<IN>, const OUT: usize, const IN: usize>(
                args: &mut winograd::Output<'_, '_, $elem>,
            ) {
                // SAFETY: as above.
                unsafe { winograd::output::<$vector, F, OUT, IN>(args) }
            }

            $(#[$feature])?
            unsafe fn output_pairs<F: winograd::Points<IN>, const OUT: usize, const IN: usize>(
                args: &mut winograd::OutputPairs<'_, '_, $elem>,
            ) {
                // SAFETY: as above.
                unsafe { winograd::output_pairs::<$vector, F, OUT, IN>(args) }
            }

            $(#[$feature])?
            unsafe fn filter<F: winograd::Points<IN>, const R: usize, const IN: usize>(
                args: &mut winograd::Filter<'_, $elem>,
            ) {
                // SAFETY: as above.
                unsafe { winograd::filter::<$vector, F, R, IN>(args) }
            }

            const fn form<F, const OUT: usize, const R: usize, const IN: usize>() -> WinogradForm<$elem>
            where
                F: winograd::Points<IN>,
            {
                WinogradForm {
                    input: input::<F, OUT, IN>,
                    output: output::<F, OUT, IN>,
                    output_pairs: output_pairs::<F, OUT, IN>,
                    filter: filter::<F, R, IN>,
                    output_grad: output_grad::<F, OUT, IN>,
                    filter_grad: filter_grad::<F, R, IN>,
                }
            }

            pub(super) static TABLE: Kernels<$elem> = Kernels {
                set: KernelSet::$set,
                lanes: <$vector as Vector>::LANES,
                direct,
                pixels,
                pick,
                pack,
                pack_mirrored,
                pool,
                relu_grad,
                unpool,
                pixels_rows: $rows,
                lanes_rows: $lanes_rows,
                sum_lanes,
                sum_plane,
                copy_rows,
                grad_vectors: grad_vectors(),
                weight_grad,
                grad_panel,
                grad_gather,
                plane_grad_channels: GRAD_CHANNELS,
                plane_grad,
                plane_weights,
                winograd_product,
                // In the order of `winograd::Form::index`.
                winograd: [
                    form::<winograd::Six, 5, 2, 6>(),
                    form::<winograd::Six, 4, 3, 6>(),
                    form::<winograd::Six, 3, 4, 6>(),
                    form::<winograd::Six, 2, 5, 6>(),
                    form::<winograd::Four, 3, 2, 4>(),
                    form::<winograd::Four, 2, 3, 4>(),
                ],
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
table!(avx512_f32, Avx512, f32, super::avx512::F32x16,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")] 8, lanes: 8 3,
    1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    2: [1 2 3 4 5 6 7 8 9 10 11 12 13 14 | 1 2 3 4 5 6 7], 4: [1 2 3 | 1 2 3],
    grad: [1 1 1, 3 1 1, 9 1 1, 1 2 1, 4 2 1, 1 3 1, 2 3 1, 4 3 1, 1 4 1, 3 4 1, 1 5 1, 2 5 1,
        5 5 1, 1 6 1, 2 6 1, 1 7 1, 2 7 1, 1 1 2, 3 1 2, 9 1 2, 1 2 2, 4 2 2, 1 3 2, 2 3 2, 3 3 2,
        4 3 2, 1 4 2, 3 4 2, 1 5 2, 2 5 2, 1 6 2, 2 6 2, 1 7 2, 2 7 2, 1 1 3, 2 1 3, 4 1 3, 9 1 3,
        1 2 3, 4 2 3, 1 3 3, 2 3 3, 3 3 3, 1 4 3, 2 4 3]);
#[cfg(target_arch = "x86_64")]
table!(avx2_f32, Avx2, f32, super::avx2::F32x8,
    #[target_feature(enable = "avx2,fma")] 4, lanes: 6 2,
    1: [1 2 3 4 5 6], 2: [1 2 3 4 5 6 | 1 2 3], 4: [1 2 3 | 1],
    grad: [1 1 1, 3 1 1, 6 1 1, 1 2 1, 4 2 1, 1 3 1, 3 3 1, 1 4 1, 2 4 1, 1 5 1, 2 5 1, 1 6 1,
        1 1 2, 3 1 2, 6 1 2, 1 2 2, 3 2 2, 1 3 2, 2 3 2, 1 4 2, 1 5 2, 1 6 2]);
#[cfg(target_arch = "aarch64")]
table!(neon_f32, Neon, f32, super::neon::F32x4,
    #[target_feature(enable = "neon")] 4, lanes: 4 3,
    1: [1 2 3 4 5 6 7 8], 2: [1 2 3 4 5 6 7 8 | 1 2 3 4], 4: [1 2 3 | 1 2],
    grad: [1 1 1, 3 1 1, 9 1 1, 1 2 1, 4 2 1, 1 3 1, 2 3 1, 4 3 1, 1 4 1, 3 4 1, 1 5 1, 2 5 1,
        5 5 1, 1 6 1, 2 6 1, 1 7 1, 2 7 1, 1 1 2, 3 1 2, 9 1 2, 1 2 2, 4 2 2, 1 3 2, 2 3 2, 3 3 2,
        4 3 2, 1 4 2, 3 4 2, 1 5 2, 2 5 2, 1 6 2, 2 6 2, 1 7 2, 2 7 2, 1 1 3, 2 1 3, 4 1 3, 9 1 3,
        1 2 3, 4 2 3, 1 3 3, 2 3 3, 3 3 3, 1 4 3, 2 4 3]);
table!(scalar_f32, Scalar, f32, super::scalar::Four<f32>, 4, lanes: 4 3,
    1: [1 2 3 4], 2: [1 2 | 1 2], 4: [1 | 1],
    grad: [1 1 1, 4 1 1, 1 2 1, 2 2 1, 1 3 1, 1 4 1]);
table!(scalar_f64, Scalar, f64, super::scalar::Four<f64>, 4, lanes: 4 3,
    1: [1 2 3 4], 2: [1 2 | 1 2], 4: [1 | 1],
    grad: [1 1 1, 4 1 1, 1 2 1, 2 2 1, 1 3 1, 1 4 1]);
