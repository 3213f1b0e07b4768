//! Fused multiply-adds on registers alone: what a machine can do at most.

use super::KernelSet;

/// What [`fma_burst`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FmaBurst {
    /// Floating-point operations, two for each multiply-add.
    pub operations: f64,
    /// The instructions that did them.
    pub instructions: &'static str,
}

/// Chains of FMAs that run side by side. An FMA takes four cycles (five on some CPUs) and two start
/// in each, so that ten must be under way; with factor and addend they fit sixteen registers.
const CHAINS: usize = 12;

/// Does `rounds` multiply-adds on each lane of several vectors, on this thread, with the instructions of
/// a set, or with portable code if this CPU has not got it.
///
/// It computes nothing: it is the measure of those that do.
#[must_use]
pub fn fma_burst(set: KernelSet, rounds: usize) -> FmaBurst {
    let (at_a_time, instructions) = match set {
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx512 if set.is_available() => {
            // SAFETY: the CPU has AVX-512F, as just asked; the function touches no memory but
            // its own.
            (unsafe { avx512(rounds) }, "AVX-512")
        }
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx2 if set.is_available() => {
            // SAFETY: the CPU has AVX2 and FMA, as just asked; the function touches no memory
            // but its own.
            (unsafe { avx2(rounds) }, "AVX2 and FMA")
        }
        // NEON is part of the target, so that the call is safe.
        #[cfg(target_arch = "aarch64")]
        KernelSet::Neon => (neon(rounds), "NEON"),
        _ => (portable(rounds), "scalar"),
    };
    FmaBurst { operations: operations(rounds, at_a_time), instructions }
}

fn operations(rounds: usize, at_a_time: usize) -> f64 {
    2.0 * at_a_time as f64 * rounds as f64
}

/// Returns the multiply-adds of a round.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(rounds: usize) -> usize {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let (factor, addend) = (_mm512_set1_ps(opaque(0.999)), _mm512_set1_ps(opaque(0.001)));
    let mut sums = [_mm512_set1_ps(opaque(1.0)); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, addend);
        }
    }
    std::hint::black_box(sums);
    16 * CHAINS
}

/// Returns the multiply-adds of a round.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(rounds: usize) -> usize {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (factor, addend) = (_mm256_set1_ps(opaque(0.999)), _mm256_set1_ps(opaque(0.001)));
    let mut sums = [_mm256_set1_ps(opaque(1.0)); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, addend);
        }
    }
    std::hint::black_box(sums);
    8 * CHAINS
}

/// Returns the multiply-adds of a round.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(rounds: usize) -> usize {
    /// Some CPUs start four in a cycle, and there are 32 registers.
    const CHAINS: usize = 24;
    use std::arch::aarch64::{vdupq_n_f32, vfmaq_f32};
    let (factor, addend) = (vdupq_n_f32(opaque(0.999)), vdupq_n_f32(opaque(0.001)));
    // The instruction adds to what it overwrites: sum <- sum + factor * addend.
    let mut sums = [vdupq_n_f32(opaque(1.0)); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = vfmaq_f32(*sum, factor, addend);
        }
    }
    std::hint::black_box(sums);
    4 * CHAINS
}

/// A multiplication and an addition where there is no FMA. Returns the multiply-adds of a round.
fn portable(rounds: usize) -> usize {
    let (factor, addend) = ([opaque(0.999); 4], [opaque(0.001); 4]);
    let mut sums = [[opaque(1.0); 4]; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in 0..4 {
                sum[lane] = sum[lane] * factor[lane] + addend[lane];
            }
        }
    }
    std::hint::black_box(sums);
    4 * CHAINS
}

/// A number that the compiler does not know.
fn opaque(value: f32) -> f32 {
    std::hint::black_box(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_operations() {
        for set in KernelSet::available() {
            let one = fma_burst(set, 1);
            let many = fma_burst(set, 1000);
            assert_eq!(many.operations, 1000.0 * one.operations);
            assert!(one.operations >= 2.0 * CHAINS as f64, "{one:?}");
        }
    }
}
