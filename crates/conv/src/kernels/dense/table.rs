//! The tables of the kernels of affine layers and pools.

use super::super::KernelSet;
use super::super::max_pool::MaxRow;
use super::super::pairs::{PairShares, PairSums};
use super::{Data, Dense, Dot, Forward, Strips, Transpose, Weights};

/// Defines the functions of one table and the table itself.
macro_rules! dense {
    ($name:ident, $elem:ty, $vector:ty $(, #[$feature:meta])?) => {
        mod $name {
            use super::super::super::vector::Vector;
            use super::super::super::{dense, max_pool, pairs};
            use super::{
                Data, Dense, Dot, Forward, MaxRow, PairShares, PairSums, Strips, Transpose,
                Weights,
            };

            $(#[$feature])?
            unsafe fn transpose(args: &mut Transpose<'_, $elem>) {
                // SAFETY: that of the caller, who has made sure of the CPU and the slices.
                unsafe { dense::transpose::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn forward(args: &mut Forward<'_, $elem>) {
                // SAFETY: as above.
                unsafe { dense::forward::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn dot(args: &mut Dot<'_, $elem>) {
                // SAFETY: as above.
                unsafe { dense::dot::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn weights(args: &mut Weights<'_, $elem>) {
                // SAFETY: as above.
                unsafe { dense::weights::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn data(args: &mut Data<'_, $elem>) {
                // SAFETY: as above.
                unsafe { dense::data::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn strips(args: &mut Strips<'_, $elem>) {
                // SAFETY: as above.
                unsafe { dense::strips::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn max_row(args: &mut MaxRow<'_, $elem>) {
                // SAFETY: as above.
                unsafe { max_pool::max_row::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn pair_sums(args: &mut PairSums<'_, $elem>) {
                // SAFETY: as above.
                unsafe { pairs::pair_sums::<$vector>(args) }
            }

            $(#[$feature])?
            unsafe fn pair_shares(args: &mut PairShares<'_, $elem>) {
                // SAFETY: as above.
                unsafe { pairs::pair_shares::<$vector>(args) }
            }

            pub(super) static TABLE: Dense<$elem> = Dense {
                lanes: <$vector as Vector>::LANES,
                transpose,
                forward,
                dot,
                weights,
                data,
                strips,
                few_registers: <$vector as Vector>::REGISTERS <= 16,
                max_row,
                pair_sums,
                pair_shares,
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
dense!(avx512_f32, f32, super::super::super::avx512::F32x16,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
dense!(avx2_f32, f32, super::super::super::avx2::F32x8, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
dense!(neon_f32, f32, super::super::super::neon::F32x4, #[target_feature(enable = "neon")]);
dense!(scalar_f32, f32, super::super::super::scalar::Four<f32>);
dense!(scalar_f64, f64, super::super::super::scalar::Four<f64>);

/// The table of an instruction set, if the CPU has it.
pub trait HasDense: Sized + 'static {
    /// The table.
    fn dense(set: KernelSet) -> Option<&'static Dense<Self>>;
}

impl HasDense for f32 {
    fn dense(set: KernelSet) -> Option<&'static Dense<Self>> {
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

impl HasDense for f64 {
    fn dense(set: KernelSet) -> Option<&'static Dense<Self>> {
        set.is_available().then_some(&scalar_f64::TABLE)
    }
}
