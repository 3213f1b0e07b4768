//! The micro-kernels of each instruction set.

use super::tile::Tile;
use super::vector;
use crate::packed::InstructionSet;

/// The micro-kernel of one instruction set for one element type.
#[derive(Debug)]
pub struct Table<T: 'static> {
    /// The instruction set, which the CPU has.
    pub(crate) set: InstructionSet,
    /// Rows of a tile.
    pub(crate) rows: usize,
    /// Elements in a register.
    pub(crate) lanes: usize,
    /// Registers of columns in a tile.
    pub(crate) vectors: usize,
    tile: unsafe fn(&mut Tile<'_, T>),
}

impl<T> Table<T> {
    /// Columns of a tile.
    pub(crate) fn cols(&self) -> usize {
        self.vectors * self.lanes
    }

    /// Computes a tile.
    ///
    /// # Panics
    ///
    /// If it reaches beyond its slices.
    pub(crate) fn tile(&self, mut tile: Tile<'_, T>) {
        tile.check(self.rows, self.lanes, self.vectors);
        // SAFETY: the slices have been checked. A table is handed out by `table` alone, below, and
        // only for an instruction set that the CPU has.
        unsafe { (self.tile)(&mut tile) }
    }
}

/// Defines a table: the rows of its tiles, and the registers that they may be wide.
macro_rules! table {
    ($name:ident, $set:ident, $elem:ty, $vector:ty, $(#[$feature:meta])? $rows:literal,
        $vectors:literal: [$($count:literal)*]) => {
        mod $name {
            use super::super::tile::{self, Tile};
            use super::super::vector::Vector;
            use super::{InstructionSet, Table, vector};

            type Register = $vector;

            $(#[$feature])?
            unsafe fn sized<const N: usize>(tile: &mut Tile<'_, $elem>) {
                // SAFETY: that of the caller, who has made sure of the CPU and the slices.
                unsafe { tile::tile::<Register, $rows, N, $vectors>(tile) }
            }

            unsafe fn tile(tile: &mut Tile<'_, $elem>) {
                // SAFETY: as above; the count is that of the tile.
                unsafe {
                    match tile.vectors {
                        $($count => sized::<$count>(tile),)*
                        count => unreachable!("a tile of {count} registers"),
                    }
                }
            }

            pub(super) static TABLE: Table<$elem> = Table {
                set: InstructionSet::$set,
                rows: $rows,
                lanes: <Register as Vector>::LANES,
                vectors: $vectors,
                tile,
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
table!(avx512_f32, Avx512, f32, vector::F32x16,
    #[target_feature(enable = "avx512f,avx2,fma")] 8, 3: [1 2 3]);
#[cfg(target_arch = "x86_64")]
table!(avx512_f64, Avx512, f64, vector::F64x8,
    #[target_feature(enable = "avx512f,avx2,fma")] 8, 3: [1 2 3]);
#[cfg(target_arch = "x86_64")]
table!(avx2_f32, Avx2, f32, vector::F32x8, #[target_feature(enable = "avx2,fma")] 6, 2: [1 2]);
#[cfg(target_arch = "x86_64")]
table!(avx2_f64, Avx2, f64, vector::F64x4, #[target_feature(enable = "avx2,fma")] 6, 2: [1 2]);
#[cfg(target_arch = "aarch64")]
table!(neon_f32, Neon, f32, vector::F32x4, #[target_feature(enable = "neon")] 8, 3: [1 2 3]);
#[cfg(target_arch = "aarch64")]
table!(neon_f64, Neon, f64, vector::F64x2, #[target_feature(enable = "neon")] 8, 3: [1 2 3]);
table!(scalar_f32, Scalar, f32, vector::Four<f32>, 4, 2: [1 2]);
table!(scalar_f64, Scalar, f64, vector::Four<f64>, 4, 2: [1 2]);

/// A type that there are micro-kernels for.
pub trait HasTables: Sized + 'static {
    /// The micro-kernel of an instruction set, if the CPU has it.
    fn table(set: InstructionSet) -> Option<&'static Table<Self>>;
}

macro_rules! has_tables {
    ($elem:ty, $avx512:ident, $avx2:ident, $neon:ident, $scalar:ident) => {
        impl HasTables for $elem {
            fn table(set: InstructionSet) -> Option<&'static Table<Self>> {
                if !set.is_available() {
                    return None;
                }
                match set {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => Some(&$avx512::TABLE),
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => Some(&$avx2::TABLE),
                    #[cfg(target_arch = "aarch64")]
                    InstructionSet::Neon => Some(&$neon::TABLE),
                    _ => Some(&$scalar::TABLE),
                }
            }
        }
    };
}

has_tables!(f32, avx512_f32, avx2_f32, neon_f32, scalar_f32);
has_tables!(f64, avx512_f64, avx2_f64, neon_f64, scalar_f64);
