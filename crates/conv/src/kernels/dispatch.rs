//! Plain loops, compiled for each instruction set.

use std::sync::OnceLock;

use super::KernelSet;

/// A number that can be multiplied and added to in one rounding.
pub trait Fused: Copy {
    /// `self * b + c` in one rounding: an instruction where the CPU has one, or else a slow call.
    #[must_use]
    fn fused_mul_add(self, b: Self, c: Self) -> Self;
}

impl Fused for f32 {
    #[inline(always)]
    fn fused_mul_add(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

impl Fused for f64 {
    #[inline(always)]
    fn fused_mul_add(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

/// How an instruction set multiplies and adds.
pub trait MulAdd: Copy {
    /// `a * b + c`, in one rounding where that is one instruction.
    fn mul_add<T>(a: T, b: T, c: T) -> T
    where
        T: Fused + std::ops::Mul<Output = T> + std::ops::Add<Output = T>;
}

#[derive(Clone, Copy)]
struct OneRounding;

impl MulAdd for OneRounding {
    #[inline(always)]
    fn mul_add<T: Fused>(a: T, b: T, c: T) -> T {
        a.fused_mul_add(b, c)
    }
}

#[derive(Clone, Copy)]
struct TwoRoundings;

impl MulAdd for TwoRoundings {
    #[inline(always)]
    fn mul_add<T>(a: T, b: T, c: T) -> T
    where
        T: Fused + std::ops::Mul<Output = T> + std::ops::Add<Output = T>,
    {
        a * b + c
    }
}

/// A loop over elements that the compiler can vectorise.
pub trait Vectorised {
    /// What comes out of it.
    type Output;

    /// Runs the loop. To be `#[inline(always)]`, with all that it calls: only then is it compiled
    /// for the instruction set at hand.
    fn run<M: MulAdd>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn avx512<W: Vectorised>(work: W) -> W::Output {
    work.run::<OneRounding>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<W: Vectorised>(work: W) -> W::Output {
    work.run::<OneRounding>()
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon<W: Vectorised>(work: W) -> W::Output {
    work.run::<OneRounding>()
}

/// The instruction set that [`KernelSet::detect`] finds; the fastest, if the environment names one
/// that there is not (of which the plan of a convolution tells).
pub(crate) fn fastest() -> KernelSet {
    static SET: OnceLock<KernelSet> = OnceLock::new();
    *SET.get_or_init(|| KernelSet::detect().unwrap_or(KernelSet::available()[0]))
}

/// Runs a loop on the instruction set that [`KernelSet::detect`] finds, or the fastest if that
/// fails.
#[inline]
pub fn vectorised<W: Vectorised>(work: W) -> W::Output {
    vectorised_on(fastest(), work)
}

/// As [`vectorised`], on a set that this CPU has.
pub(crate) fn vectorised_on<W: Vectorised>(set: KernelSet, work: W) -> W::Output {
    debug_assert!(set.is_available());
    match set {
        // SAFETY: a set that was detected is one that the CPU has.
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx512 => unsafe { avx512(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx2 => unsafe { avx2(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        KernelSet::Neon => unsafe { neon(work) },
        _ => work.run::<TwoRoundings>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Squares<'a>(&'a [f32], &'a mut [f32]);

    impl Vectorised for Squares<'_> {
        type Output = usize;

        #[inline(always)]
        fn run<M: MulAdd>(self) -> usize {
            for (y, &x) in self.1.iter_mut().zip(self.0) {
                *y = M::mul_add(x, x, 1.0);
            }
            self.1.len()
        }
    }

    #[test]
    fn every_set_runs_the_whole_loop() {
        for set in KernelSet::available() {
            for len in [0, 1, 15, 16, 17, 100] {
                let x: Vec<_> = (0..len).map(|i| i as f32).collect();
                let mut y = vec![f32::NAN; len];
                assert_eq!(vectorised_on(set, Squares(&x, &mut y)), len);
                let expected: Vec<_> = (0..len).map(|i| (i * i + 1) as f32).collect();
                assert_eq!(y, expected, "{set}");
            }
        }
    }
}
