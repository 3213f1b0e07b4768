//! Products of a small matrix with a long one, by few registers.
//!
//! Both gradients are such products. Their long factor has rows so far apart that each is a page of its
//! own: a strip of its columns is copied next to each other and then serves all rows of the result from
//! the first-level cache.

use std::array::from_fn;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::vector::Vector;
use super::Forward;

/// Inputs that are summed at a time where there are many images: two panels of them take half of a
/// first-level cache of 32 KiB.
const NEAR: usize = 256;

/// Rows of the result in a tile, and registers of columns. Four by three, which read less, need all sixteen
/// registers: the compiler spills a sum, and with it half of the speed.
const ROWS: usize = 6;
const COLS: usize = 2;

/// Rows of the long factor that are copied at a time: half of a first-level cache of 32 KiB.
const DEPTH: usize = 256;

/// `out = a b`.
pub(crate) struct Strips<'a, T> {
    /// The small factor: element `k` of row `r` stands at `r * a_row + k * a_step`.
    pub(crate) a: &'a [T],
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    /// The long factor: `depth` rows of `cols`.
    pub(crate) b: &'a [T],
    pub(crate) depth: usize,
    pub(crate) cols: usize,
    /// Rows of `cols`, overwritten.
    pub(crate) out: &'a mut [T],
}

impl<T> Strips<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        let rows = self.out.len() / self.cols;
        assert!(rows > 0 && self.depth > 0 && self.out.len() == rows * self.cols);
        assert!((rows - 1) * self.a_row + (self.depth - 1) * self.a_step < self.a.len());
        assert!(self.depth * self.cols <= self.b.len());
    }
}

/// Neighbouring columns of some rows of the long factor, 0 beyond the last.
type Panel<V> = [[V; COLS]; DEPTH];

/// A tile: the rows of the result from `row` on, the columns `col..col + count`, and so many rows of the
/// panel, the first of which is row `from` of the long factor.
#[derive(Clone, Copy)]
struct Tile {
    row: usize,
    col: usize,
    count: usize,
    from: usize,
    depth: usize,
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Strips::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn strips<V: Vector>(args: &mut Strips<'_, V::Elem>) {
    let rows = args.out.len() / args.cols;
    let mut panel = MaybeUninit::<Panel<V>>::uninit();
    let panel = panel.as_mut_ptr().cast::<[V; COLS]>();
    for from in (0..args.depth).step_by(DEPTH) {
        let depth = DEPTH.min(args.depth - from);
        for col in (0..args.cols).step_by(COLS * V::LANES) {
            let count = (COLS * V::LANES).min(args.cols - col);
            // SAFETY: the caller guarantees the CPU. The panel has room for `depth` rows, all of which are
            // written; they and their columns are those of the long factor, and each tile is one of the
            // result.
            unsafe {
                copy::<V>(args, panel, Tile { row: 0, col, count, from, depth });
                let mut row = 0;
                while row < rows {
                    let tile = Tile { row, col, count, from, depth };
                    ask_ahead::<V>(args, rows, tile);
                    row += match rows - row {
                        ROWS.. => self::tile::<V, ROWS>(args, panel, tile),
                        5 => self::tile::<V, 5>(args, panel, tile),
                        4 => self::tile::<V, 4>(args, panel, tile),
                        3 => self::tile::<V, 3>(args, panel, tile),
                        2 => self::tile::<V, 2>(args, panel, tile),
                        _ => self::tile::<V, 1>(args, panel, tile),
                    };
                }
            }
        }
    }
}

/// Writes the panel of a tile.
///
/// # Safety
///
/// As [`strips`]; the tile lies within the factors, and the panel has room for its rows.
#[inline(always)]
unsafe fn copy<V: Vector>(args: &Strips<'_, V::Elem>, panel: *mut [V; COLS], tile: Tile) {
    let Tile { col, count, from, depth, .. } = tile;
    // SAFETY: the caller guarantees the CPU; `count` elements are read of rows that exist.
    unsafe {
        for k in 0..depth {
            let b = args.b.as_ptr().add((from + k) * args.cols + col);
            let mut near = [V::splat(V::Elem::default()); COLS];
            for c in 0..COLS {
                let first = c * V::LANES;
                if count == COLS * V::LANES {
                    near[c] = V::load(b.add(first));
                } else if first < count {
                    near[c] = V::load_first(b.add(first), V::LANES.min(count - first));
                }
            }
            panel.add(k).write(near);
        }
    }
}

/// Asks for a part of the next panel: rows are further apart than hardware looks, and the tiles of this
/// panel leave the time.
#[inline(always)]
fn ask_ahead<V: Vector>(args: &Strips<'_, V::Elem>, rows: usize, tile: Tile) {
    let Tile { row, col, from, depth, .. } = tile;
    let (first, end) = (row * depth / rows, (row + ROWS).min(rows) * depth / rows);
    let b = args.b.as_ptr().wrapping_add(from * args.cols + col + COLS * V::LANES);
    for k in first..end {
        let b = b.wrapping_add(k * args.cols);
        V::prefetch(b);
        V::prefetch(b.wrapping_add(COLS * V::LANES - 1));
    }
}

/// `R` rows of the result; returns `R`.
///
/// # Safety
///
/// As [`strips`]; the tile lies within the result, and the panel has its rows.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize>(
    args: &mut Strips<'_, V::Elem>,
    panel: *const [V; COLS],
    tile: Tile,
) -> usize {
    let Tile { row, col, count, from, depth } = tile;
    let whole = count == COLS * V::LANES;
    let (a_row, a_step) = (args.a_row, args.a_step);
    // SAFETY: the caller guarantees the CPU. There are `R` rows of both from `row` on and `count` columns
    // of the result from `col` on; a part of a register is read and written within these.
    unsafe {
        let out = args.out.as_mut_ptr().add(row * args.cols + col);
        for r in 0..R {
            V::prefetch_to_write(out.wrapping_add(r * args.cols));
        }
        let mut sums = [[V::splat(V::Elem::default()); COLS]; R];
        if from > 0 {
            for r in 0..R {
                for c in 0..COLS {
                    let (at, first) =
                        (out.wrapping_add(r * args.cols + c * V::LANES), c * V::LANES);
                    if whole {
                        sums[r][c] = V::load(at);
                    } else if first < count {
                        sums[r][c] = V::load_first(at, V::LANES.min(count - first));
                    }
                }
            }
        }
        let mut a = args.a.as_ptr().add(row * a_row + from * a_step);
        for k in 0..depth {
            let near = panel.add(k).read();
            for r in 0..R {
                let a = V::splat(*a.wrapping_add(r * a_row));
                for c in 0..COLS {
                    sums[r][c] = a.mul_add(near[c], sums[r][c]);
                }
            }
            a = a.wrapping_add(a_step);
        }
        for r in 0..R {
            for c in 0..COLS {
                let (at, first) = (out.wrapping_add(r * args.cols + c * V::LANES), c * V::LANES);
                if whole {
                    sums[r][c].store(at);
                } else if first < count {
                    sums[r][c].store_first(at, V::LANES.min(count - first));
                }
            }
        }
    }
    R
}

/// [`Forward`](super::Forward), some inputs at a time.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the arguments have been checked.
#[inline(always)]
pub(crate) unsafe fn forward<V: Vector>(args: &mut Forward<'_, V::Elem>) {
    let rows = args.w.len() / args.inputs;
    let panels = args.panels.len() / (args.inputs * V::LANES);
    let near = if panels > 2 { NEAR } else { args.inputs };
    for from in (0..args.inputs).step_by(near) {
        let inputs = from..(from + near).min(args.inputs);
        for panel in (0..panels).step_by(2) {
            let mut row = 0;
            while row < rows {
                let inputs = inputs.clone();
                // SAFETY: that of the caller; there are so many inputs, rows and panels.
                row += unsafe {
                    match (panels - panel, rows - row) {
                        (1, 12..) => columns::<V, 12, 1>(args, inputs, row, panel),
                        (1, 6..) => columns::<V, 6, 1>(args, inputs, row, panel),
                        (1, 2..) => columns::<V, 2, 1>(args, inputs, row, panel),
                        (1, _) => columns::<V, 1, 1>(args, inputs, row, panel),
                        (_, 6..) => columns::<V, 6, 2>(args, inputs, row, panel),
                        (_, 4..) => columns::<V, 4, 2>(args, inputs, row, panel),
                        (_, 2..) => columns::<V, 2, 2>(args, inputs, row, panel),
                        _ => columns::<V, 1, 2>(args, inputs, row, panel),
                    }
                };
            }
        }
    }
}

/// Some inputs of `R` rows of weights from `row` on times `P` panels of images from `panel` on, added to
/// what those before have come to; returns `R`.
///
/// # Safety
///
/// As [`forward`]; there are such inputs, rows and panels.
#[inline(always)]
unsafe fn columns<V: Vector, const R: usize, const P: usize>(
    args: &mut Forward<'_, V::Elem>,
    near: Range<usize>,
    row: usize,
    panel: usize,
) -> usize {
    /// Weights that are asked for at a time: a line of the cache.
    const LINE: usize = 16;
    let (inputs, rows) = (args.inputs, args.w.len() / args.inputs);
    // SAFETY: that of the caller.
    unsafe {
        let w: [*const V::Elem; R] = from_fn(|r| args.w.as_ptr().add((row + r) * inputs));
        let x: [*const V::Elem; P] =
            from_fn(|p| args.panels.as_ptr().add((panel + p) * inputs * V::LANES));
        let y = args.y.as_mut_ptr().add((panel * rows + row) * V::LANES);
        let mut sums = [[V::splat(V::Elem::default()); P]; R];
        if near.start > 0 {
            for r in 0..R {
                for p in 0..P {
                    sums[r][p] = V::load(y.add((p * rows + r) * V::LANES));
                }
            }
        }
        let mut from = near.start;
        while from < near.end {
            let to = (from + LINE).min(near.end);
            for r in 0..R {
                // Of the next rows.
                V::prefetch(w[r].wrapping_add(R * inputs + from));
            }
            for k in from..to {
                let pixels: [V; P] = from_fn(|p| V::load(x[p].add(k * V::LANES)));
                for r in 0..R {
                    let w = V::splat(*w[r].add(k));
                    for p in 0..P {
                        sums[r][p] = w.mul_add(pixels[p], sums[r][p]);
                    }
                }
            }
            from = to;
        }
        for r in 0..R {
            for p in 0..P {
                sums[r][p].store(y.add((p * rows + r) * V::LANES));
            }
        }
    }
    R
}
