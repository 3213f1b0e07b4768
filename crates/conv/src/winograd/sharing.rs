//! How threads share a convolution by Winograd's algorithm, and the memory for it.

use super::layout::{Blocking, Layout};
use super::tiles::MAX_TILES;
use crate::ConvScalar;
use crate::call::{Call, Weights, keep_threads_busy};

/// Tiles of a block that one thread runs.
pub(super) const BLOCK: usize = 48;
/// Tiles of a block that all threads share.
pub(super) const SHARED_BLOCK: usize = 256;
/// Tiles that each thread transforms for itself.
pub(super) const OWN_TILES: usize = 64;
/// Images that one thread runs together, that their tiles fill registers.
pub(super) const MAX_IMAGES: usize = 8;
/// Blocks of output channels that one task takes: each reads the transformed input once.
const TASK_BLOCKS: usize = 2;

/// How the work is shared out.
#[derive(Clone, Copy)]
pub(super) enum Sharing {
    /// Each thread runs blocks of its own, of so many images at a time.
    Images(usize),
    /// All threads share a block of so many tiles.
    Steps(usize),
    /// Each thread computes some output channels of a single image, from so many tiles that it transforms for
    /// itself: what another has just written is slower to read than small transforms are to compute.
    Channels(usize),
    /// Each thread computes some rows of a single image, of so many rows of tiles.
    Rows(usize),
}

impl Sharing {
    /// That of a call. `small` says that threads which are awake share what they else would not.
    pub(super) fn new<T: ConvScalar>(
        layout: &Layout<'_, T>,
        call: &Call<'_, T>,
        small: bool,
    ) -> Self {
        let n = call.x.shape().n();
        let total = n * layout.tiles;
        let threads = rayon::current_num_threads();
        let packed = matches!(call.weights, Weights::Packed(_));
        if n == 1 && small && packed && is_whole(layout) {
            let rows = layout.tiles_h.div_ceil(threads);
            // Of channels each thread computes its share of all registers, of rows whole registers.
            let registers = |tiles: usize| tiles.div_ceil(layout.width);
            let filled = 4 * threads * registers(rows * layout.tiles_w) <= 5 * registers(total);
            if filled && !layout.phases.several() && rows * layout.tiles_w <= OWN_TILES {
                return Self::Rows(rows);
            }
            if total <= OWN_TILES {
                return Self::Channels(total);
            }
        }
        // What the busiest thread does, if each takes so many images at a time: tenths of the time of a
        // full register of a block, and what a block costs besides.
        let work = |images: usize| {
            let rounds = n.div_ceil(images).div_ceil(threads);
            let tiles = images * layout.tiles;
            rounds * (10 * tiles.div_ceil(layout.width) + 4 * tiles.div_ceil(BLOCK))
        };
        let images = (1..=n.clamp(1, MAX_IMAGES)).min_by_key(|&images| work(images)).unwrap_or(1);
        if total > SHARED_BLOCK && keep_threads_busy(n.div_ceil(images)) {
            Self::Images(images)
        } else {
            let blocks = total.div_ceil(SHARED_BLOCK);
            Self::Steps(total.div_ceil(blocks).next_multiple_of(layout.width).min(MAX_TILES))
        }
    }
}

/// Whether a task may take any part of an image, with a transform of its own.
pub(super) fn is_whole<T: ConvScalar>(layout: &Layout<'_, T>) -> bool {
    layout.groups == 1 && layout.interleaved.is_none()
}

/// The memory of a call.
pub(super) struct Memory<'a, T: 'static> {
    pub(super) layout: &'a Layout<'a, T>,
    pub(super) blocking: Blocking<'a, T>,
    /// Blocks of output channels of a task.
    pub(super) task_blocks: usize,
    pub(super) sharing: Sharing,
    /// Whether tasks transform weights themselves.
    pub(super) fused: bool,
}

impl<'a, T: ConvScalar> Memory<'a, T> {
    pub(super) fn new(layout: &'a Layout<'a, T>, sharing: Sharing, fused: bool) -> Self {
        let most = TASK_BLOCKS / layout.lines();
        let tasks = layout.blocks.div_ceil(most);
        let (tiles, task_blocks) = match sharing {
            Sharing::Images(_) => (BLOCK, most),
            Sharing::Channels(tiles) => (tiles, most),
            Sharing::Rows(rows) => (rows * layout.tiles_w, most),
            Sharing::Steps(tiles) if keep_threads_busy(tasks) => (tiles, most),
            Sharing::Steps(tiles) => (tiles, 1),
        };
        let blocking = Blocking::new(layout, tiles, task_blocks * layout.lines());
        Self { layout, blocking, task_blocks, sharing, fused }
    }

    /// Elements of weights that a task transforms.
    pub(super) fn u_len(&self) -> usize {
        let blocks = self.task_blocks * self.layout.lines();
        if self.fused { blocks * self.layout.u_chunk() } else { 0 }
    }

    /// Elements of each thread.
    pub(super) fn own(&self) -> usize {
        let v = match self.sharing {
            Sharing::Steps(_) => 0,
            _ => self.blocking.v_len(),
        };
        // Rows are copied before there are sums.
        let rest = self.u_len() + self.blocking.m_len() + self.layout.filter_len();
        v + rest.max(self.layout.band_len())
    }

    /// Elements that the threads share, beside the weights.
    pub(super) fn shared(&self) -> usize {
        match self.sharing {
            Sharing::Steps(_) => self.blocking.v_len(),
            _ => 0,
        }
    }
}
