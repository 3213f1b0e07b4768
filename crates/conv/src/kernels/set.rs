//! Which instruction sets there are, and which of them this CPU has.

use std::fmt;
use std::sync::OnceLock;

use super::Kernels;
use crate::ConvError;

/// The environment variable that forces an instruction set.
const VARIABLE: &str = "COLONNADE_KERNELS";

/// An instruction set that there are kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelSet {
    /// AVX-512 (F, BW, DQ, VL) on x86-64.
    Avx512,
    /// AVX2 with FMA on x86-64.
    Avx2,
    /// NEON on aarch64.
    Neon,
    /// Portable code.
    Scalar,
}

impl KernelSet {
    /// Every set, the fastest first.
    pub const ALL: &'static [Self] = &[Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// The name, as `COLONNADE_KERNELS` takes it.
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
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            _ => false,
        }
    }

    /// Those that this CPU can run, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|set| set.is_available()).collect()
    }

    /// The set that `COLONNADE_KERNELS` names, or else the fastest that this CPU can run. The
    /// variable is read once.
    ///
    /// # Errors
    ///
    /// [`ConvError::Kernels`] if the variable names no set, or one that this CPU can't run.
    pub fn detect() -> Result<Self, ConvError> {
        static FORCED: OnceLock<Option<String>> = OnceLock::new();
        let forced = FORCED.get_or_init(|| {
            std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned())
        });
        match forced.as_deref() {
            None | Some("") => Ok(Self::available()[0]),
            Some(name) => Self::named(name),
        }
    }

    /// The set of the given name, if this CPU can run it.
    ///
    /// # Errors
    ///
    /// [`ConvError::Kernels`] if not.
    pub fn named(name: &str) -> Result<Self, ConvError> {
        let set = Self::ALL.iter().find(|set| set.name() == name && set.is_available());
        set.copied().ok_or_else(|| ConvError::Kernels {
            name: name.to_owned(),
            available: Self::available().iter().map(|set| set.name()).collect(),
        })
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

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
            KernelSet::Avx512 => Some(&super::avx512_f32::TABLE),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 => Some(&super::avx2_f32::TABLE),
            #[cfg(target_arch = "aarch64")]
            KernelSet::Neon => Some(&super::neon_f32::TABLE),
            _ => Some(&super::scalar_f32::TABLE),
        }
    }
}

impl HasKernels for f64 {
    fn kernels(set: KernelSet) -> Option<&'static Kernels<Self>> {
        set.is_available().then_some(&super::scalar_f64::TABLE)
    }
}
