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
mod direct;
mod fma;
pub(crate) mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod set;
mod vector;
pub(crate) mod winograd;

pub(crate) use direct::{MAX_PIXELS, Pack, STEPS, SUM, Tile};
pub use fma::{FmaBurst, fma_burst};
pub use set::KernelSet;

/// The kernels of one instruction set for one element type.
#[derive(Debug)]
pub struct Kernels<T: 'static> {
    /// The instruction set.
    pub(crate) set: KernelSet,
    /// Elements in a register.
    pub(crate) lanes: usize,
    /// The most pixels in a tile of the direct convolution.
    pub(crate) direct_pixels: usize,
    direct: unsafe fn(&mut Tile<'_, T>),
    pack: unsafe fn(&mut Pack<'_, T>),
    /// How many output channels are summed at a time with pixels in the lanes.
    pub(crate) lanes_rows: usize,
    sum_lanes: unsafe fn(&mut lanes::Lanes<'_, T>),
    winograd_product: unsafe fn(&mut winograd::Product<'_, T>),
    /// The transforms of each form of Winograd's algorithm.
    winograd: [WinogradForm<T>; winograd::Form::COUNT],
}

/// The transforms of one form of Winograd's algorithm.
#[derive(Debug)]
struct WinogradForm<T: 'static> {
    input: unsafe fn(&mut winograd::Input<'_, T>),
    output: unsafe fn(&mut winograd::Output<'_, '_, T>),
    filter: unsafe fn(&mut winograd::Filter<'_, T>),
}

impl<T> Kernels<T> {
    /// Computes a tile; overwrites its output.
    ///
    /// # Panics
    ///
    /// If the tile reaches beyond its slices.
    pub(crate) fn direct(&self, mut tile: Tile<'_, T>) {
        tile.check(self.lanes, self.direct_pixels);
        // SAFETY: the tile has been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.direct)(&mut tile) }
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

    /// Transforms tiles of the input of Winograd's algorithm.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices; so do the three below.
    pub(crate) fn winograd_input(&self, mut args: winograd::Input<'_, T>) {
        args.check(self.lanes);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.winograd[args.form as usize].input)(&mut args) }
    }

    /// Multiplies at one point of Winograd's algorithm.
    pub(crate) fn winograd_product(&self, mut args: winograd::Product<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd_product)(&mut args) }
    }

    /// Transforms sums of Winograd's algorithm into tiles of the output.
    pub(crate) fn winograd_output(&self, mut args: winograd::Output<'_, '_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form as usize].output)(&mut args) }
    }

    /// Transforms packed weights for Winograd's algorithm.
    pub(crate) fn winograd_filter(&self, mut args: winograd::Filter<'_, T>) {
        args.check(self.lanes);
        // SAFETY: as above.
        unsafe { (self.winograd[args.form as usize].filter)(&mut args) }
    }
}

/// Defines the functions of one table and the table itself.
///
/// `[..]` lists how many pixels a tile may have.
macro_rules! table {
    ($name:ident, $set:ident, $elem:ty, $vector:ty, $(#[$feature:meta])? [$($pixels:literal)*], $rows:literal) => {
        mod $name {
            use super::direct::{self, Pack, Tile};
            use super::{lanes, winograd};
            use super::vector::Vector;
            use super::{KernelSet, Kernels, WinogradForm};

            $(#[$feature])?
            unsafe fn tile<const P: usize, const N: usize, const S: usize>(t: &mut Tile<'_, $elem>) {
                // SAFETY: that of the caller, who has made sure of the CPU and the slices.
                unsafe { direct::tile::<$vector, P, N, S>(t) }
            }

            unsafe fn direct(t: &mut Tile<'_, $elem>) {
                // SAFETY: as above.
                unsafe {
                    match (t.offsets.len(), t.vectors, t.step) {
                        $(
                            ($pixels, 1, 0) => tile::<$pixels, 1, 0>(t),
                            ($pixels, 1, 1) => tile::<$pixels, 1, 1>(t),
                            ($pixels, 1, 2) => tile::<$pixels, 1, 2>(t),
                            ($pixels, 1, 4) => tile::<$pixels, 1, 4>(t),
                            ($pixels, 2, 0) => tile::<$pixels, 2, 0>(t),
                            ($pixels, 2, 1) => tile::<$pixels, 2, 1>(t),
                            ($pixels, 2, 2) => tile::<$pixels, 2, 2>(t),
                            ($pixels, 2, 4) => tile::<$pixels, 2, 4>(t),
                        )*
                        (pixels, vectors, _) => {
                            unreachable!("a tile of {pixels} pixels and {vectors} registers")
                        }
                    }
                }
            }

            $(#[$feature])?
            unsafe fn pack(p: &mut Pack<'_, $elem>) {
                // SAFETY: as above.
                unsafe { direct::pack::<$vector>(p) }
            }

            $(#[$feature])?
            unsafe fn piece<const R: usize, const C: usize, const S: bool>(
                args: &mut lanes::Lanes<'_, $elem>,
                at: [usize; 4],
            ) {
                // SAFETY: as above.
                unsafe { lanes::piece::<$vector, R, C, S>(args, at) }
            }

            $(#[$feature])?
            unsafe fn rows_3x3(args: &mut lanes::Lanes<'_, $elem>) {
                let mut row = 0;
                // SAFETY: as above; the rows lie within the output.
                unsafe {
                    while row + 4 <= args.out_h {
                        lanes::rows_3x3::<$vector, 4>(args, row);
                        row += 4;
                    }
                    while row < args.out_h {
                        lanes::rows_3x3::<$vector, 1>(args, row);
                        row += 1;
                    }
                }
            }

            unsafe fn sum_lanes(args: &mut lanes::Lanes<'_, $elem>) {
                if args.is_3x3() {
                    // SAFETY: as above.
                    return unsafe { rows_3x3(args) };
                }
                const LANES: usize = <$vector as Vector>::LANES;
                let (single, split) = (args.rows == 1, args.run_on);
                let most = if single { lanes::MAX_COLS } else { 3 } * LANES;
                let pieces = args.shape();
                pieces.for_each(most, |at| {
                    // SAFETY: as above; the pieces are those of the arguments.
                    unsafe {
                        match (single, at[3].div_ceil(LANES), split) {
                            (true, 1, false) => piece::<1, 1, false>(args, at),
                            (true, 2, false) => piece::<1, 2, false>(args, at),
                            (true, 3, false) => piece::<1, 3, false>(args, at),
                            (true, _, false) => piece::<1, 4, false>(args, at),
                            (true, 1, true) => piece::<1, 1, true>(args, at),
                            (true, 2, true) => piece::<1, 2, true>(args, at),
                            (true, 3, true) => piece::<1, 3, true>(args, at),
                            (true, _, true) => piece::<1, 4, true>(args, at),
                            (false, 1, false) => piece::<$rows, 1, false>(args, at),
                            (false, 2, false) => piece::<$rows, 2, false>(args, at),
                            (false, _, false) => piece::<$rows, 3, false>(args, at),
                            (false, 1, true) => piece::<$rows, 1, true>(args, at),
                            (false, 2, true) => piece::<$rows, 2, true>(args, at),
                            (false, _, true) => piece::<$rows, 3, true>(args, at),
                        }
                    }
                });
            }

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
            unsafe fn input<F, const OUT: usize, const IN: usize>(
                args: &mut winograd::Input<'_, $elem>,
            ) where
                F: winograd::Transform<OUT, IN>,
            {
                // SAFETY: as above.
                unsafe { winograd::input::<$vector, F, OUT, IN>(args) }
            }

            $(#[$feature])?
            unsafe fn output<F, const OUT: usize, const IN: usize>(
                args: &mut winograd::Output<'_, '_, $elem>,
            ) where
                F: winograd::Transform<OUT, IN>,
            {
                // SAFETY: as above.
                unsafe { winograd::output::<$vector, F, OUT, IN>(args) }
            }

            $(#[$feature])?
            unsafe fn filter<F, const OUT: usize, const IN: usize>(
                args: &mut winograd::Filter<'_, $elem>,
            ) where
                F: winograd::Transform<OUT, IN>,
            {
                // SAFETY: as above.
                unsafe { winograd::filter::<$vector, F, OUT, IN>(args) }
            }

            const fn form<F, const OUT: usize, const IN: usize>() -> WinogradForm<$elem>
            where
                F: winograd::Transform<OUT, IN>,
            {
                WinogradForm {
                    input: input::<F, OUT, IN>,
                    output: output::<F, OUT, IN>,
                    filter: filter::<F, OUT, IN>,
                }
            }

            pub(super) static TABLE: Kernels<$elem> = Kernels {
                set: KernelSet::$set,
                lanes: <$vector as Vector>::LANES,
                direct_pixels: [$($pixels),*].len(),
                direct,
                pack,
                lanes_rows: $rows,
                sum_lanes,
                winograd_product,
                // In the order of `winograd::Form`.
                winograd: [form::<winograd::Four, 4, 6>(), form::<winograd::Two, 2, 4>()],
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
table!(avx512_f32, Avx512, f32, super::avx512::F32x16,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14], 8);
#[cfg(target_arch = "x86_64")]
table!(avx2_f32, Avx2, f32, super::avx2::F32x8,
    #[target_feature(enable = "avx2,fma")]
    [1 2 3 4 5 6], 4);
#[cfg(target_arch = "aarch64")]
table!(neon_f32, Neon, f32, super::neon::F32x4,
    #[target_feature(enable = "neon")]
    [1 2 3 4 5 6 7 8], 4);
table!(scalar_f32, Scalar, f32, super::scalar::Four<f32>, [1 2 3 4], 4);
table!(scalar_f64, Scalar, f64, super::scalar::Four<f64>, [1 2 3 4], 4);

/// The table of an instruction set, if the CPU has it. What a set does not have for f64 runs on
/// the portable kernels.
pub trait HasKernels: Sized + 'static {
    /// The table.
    fn kernels(set: KernelSet) -> Option<&'static Kernels<Self>>;
}

impl HasKernels for f32 {
    fn kernels(set: KernelSet) -> Option<&'static Kernels<Self>> {
        if !set.is_available() {
            return None;
        }
        match set {
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512 => Some(&avx512_f32::TABLE),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 => Some(&avx2_f32::TABLE),
            #[cfg(target_arch = "aarch64")]
            KernelSet::Neon => Some(&neon_f32::TABLE),
            _ => Some(&scalar_f32::TABLE),
        }
    }
}

impl HasKernels for f64 {
    fn kernels(set: KernelSet) -> Option<&'static Kernels<Self>> {
        set.is_available().then_some(&scalar_f64::TABLE)
    }
}
