//! The types of elements that are read, and how they become 32-bit floats.

use std::io::{self, Read};
use std::path::Path;

use crate::WeightsError;

/// A type of elements, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    BF16,
}

/// How many bytes are converted at a time.
const CHUNK: usize = 1 << 16;

impl Element {
    /// Bytes of one element.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    fn extend(self, to: &mut Vec<f32>, bytes: &[u8]) {
        let halves = bytes.as_chunks::<2>().0.iter().copied().map(u16::from_le_bytes);
        match self {
            Self::F32 => {
                to.extend(bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes));
            }
            Self::F16 => to.extend(halves.map(from_f16)),
            Self::BF16 => to.extend(halves.map(|bits| f32::from_bits(u32::from(bits) << 16))),
        }
    }

    /// Reads `count` elements and gives them away a chunk at a time.
    pub(crate) fn read(
        self,
        reader: &mut impl Read,
        count: usize,
        mut take: impl FnMut(&[f32]),
    ) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK.min(count.saturating_mul(self.size()))];
        let mut values = Vec::with_capacity(bytes.len() / self.size());
        let mut left = count;
        while left > 0 {
            let now = left.min(CHUNK / self.size());
            let bytes = &mut bytes[..now * self.size()];
            reader.read_exact(bytes)?;
            values.clear();
            self.extend(&mut values, bytes);
            take(&values);
            left -= now;
        }
        Ok(())
    }
}

/// A half-precision float of IEEE 754 as a single: each has one.
fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // 0 and the subnormals: a multiple of 2^-24.
        0 => {
            let magnitude = fraction as f32 * 2.0_f32.powi(-24);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        // Infinity and NaN.
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// Memory for so many floats, or an error where there is none.
pub(crate) fn reserve(count: usize, path: &Path, name: &str) -> Result<Vec<f32>, WeightsError> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| WeightsError::Memory {
        path: path.to_owned(),
        name: name.to_owned(),
        bytes: 4 * count as u64,
    })?;
    Ok(values)
}

/// How many elements a shape has, and how many bytes they take; `None` if there are more than can
/// be addressed. A size of 0 does not hide the others.
pub(crate) fn count(dims: &[u64], size: usize) -> Option<(usize, u64)> {
    let mut count = 1_u64;
    for &dim in dims {
        count = count.checked_mul(dim.max(1))?;
    }
    // As floats they must fit into memory, whatever they are in the file.
    count.checked_mul(4).filter(|&bytes| bytes <= isize::MAX as u64)?;
    let count = if dims.contains(&0) { 0 } else { count };
    Some((count as usize, count * size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_singles() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0xc000, -2.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_f16(bits), value, "{bits:04x}");
        }
        assert!(from_f16(0x8000).is_sign_negative() && from_f16(0x8000) == 0.0);
        assert!(from_f16(0x7e00).is_nan());
    }

    #[test]
    fn elements_are_counted_with_care() {
        assert_eq!(count(&[], 4), Some((1, 4)));
        assert_eq!(count(&[2, 3], 2), Some((6, 12)));
        assert_eq!(count(&[0, 3], 4), Some((0, 0)));
        assert_eq!(count(&[1 << 32, 1 << 32], 4), None);
        assert_eq!(count(&[0, u64::MAX, 2], 4), None);
        assert_eq!(count(&[1 << 62], 4), None);
        assert_eq!(count(&[1 << 61], 4), None);
    }
}
