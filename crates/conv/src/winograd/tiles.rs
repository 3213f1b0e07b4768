//! Tiles of the output, and which stand side by side in a register.

use std::ops::Range;

use super::layout::Layout;
use crate::ConvScalar;
use crate::kernels::winograd::{Register, Segment};

/// The most tiles of a block.
pub(super) const MAX_TILES: usize = 256;
/// The fewest tiles that lie in memory as one register.
const FEWEST_LANES: usize = 4;

/// Some tiles, numbered through image by image, phase by phase and row by row, cut into segments of
/// registers.
pub(super) struct Tiles {
    pub(super) segments: [Segment; MAX_TILES],
    registers: [Register; MAX_TILES / FEWEST_LANES],
    pub(super) count: usize,
    /// The images that they belong to.
    pub(super) images: Range<usize>,
}

impl Tiles {
    pub(super) fn new() -> Self {
        Self {
            segments: [Segment::default(); MAX_TILES],
            registers: [Register::default(); MAX_TILES / FEWEST_LANES],
            count: 0,
            images: 0..0,
        }
    }

    /// Takes other tiles.
    pub(super) fn cut<T: ConvScalar>(&mut self, layout: &Layout<'_, T>, tiles: Range<usize>) {
        self.images = tiles.start / layout.tiles..tiles.end.div_ceil(layout.tiles);
        self.count = 0;
        let (mut tile, mut len) = (tiles.start, 0);
        while tile < tiles.end {
            let first = len;
            let end = tiles.end.min(tile + layout.width);
            while tile < end {
                let (image, within) = (tile / layout.tiles, tile % layout.tiles);
                let (row, col) = (within / layout.tiles_w, within % layout.tiles_w);
                let (phase, row) = (row / layout.tiles_h, row % layout.tiles_h);
                let along = layout.phases.dilation[1];
                let count = (layout.tiles_w - col).min(end - tile);
                self.segments[len] = Segment {
                    image: image - self.images.start,
                    phase: [phase / along, phase % along],
                    top: layout.form.out() * row,
                    left: layout.form.out() * col,
                    tiles: count,
                };
                len += 1;
                tile += count;
            }
            self.registers[self.count] = Register { first, last: len };
            self.count += 1;
        }
    }

    /// All segments.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments[..self.registers[..self.count].last().map_or(0, |register| register.last)]
    }

    /// The registers from one on, at most so many.
    pub(super) fn registers(&self, first: usize, most: usize) -> &[Register] {
        &self.registers[first..self.count.min(first + most)]
    }
}
