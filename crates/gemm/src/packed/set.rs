//! Which instruction sets there are micro-kernels for, and which of them this CPU has.

use std::fmt;

/// An instruction set that there is a micro-kernel for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// AVX-512F on x86-64.
    Avx512,
    /// AVX2 with FMA on x86-64.
    Avx2,
    /// NEON on aarch64.
    Neon,
    /// Portable code.
    Scalar,
}

impl InstructionSet {
    /// Every set, the fastest first.
    pub const ALL: &'static [Self] = &[Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// The name: `avx512`, `avx2`, `neon` or `scalar`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }

    /// Whether this CPU can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            _ => false,
        }
    }

    /// The fastest that this CPU can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.iter().copied().find(|set| set.is_available()).unwrap_or(Self::Scalar)
    }

    /// The set of the given name, whether or not this CPU can run it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.name() == name)
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
