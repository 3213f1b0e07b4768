//! The transform of the input.

use std::array::from_fn;
use std::ops::Range;

use super::super::vector::Vector;
use super::forms::gather;
use super::{Form, PITCH, Points, Register};

/// Where neighbouring tiles of one row of tiles are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Source {
    /// Where the first channel of the image begins in `x`.
    pub(crate) offset: usize,
    /// The first row and column of the tiles, counted from the first of padding.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many tiles there are.
    pub(crate) tiles: usize,
}

/// The transform of some tiles of some channels.
pub(crate) struct Input<'a, T> {
    pub(crate) form: Form,
    /// The pixels: those of row `r` of channel `c` start at `c * plane_stride + r * row_stride`, from
    /// the offset of a source on.
    pub(crate) x: &'a [T],
    pub(crate) plane_stride: usize,
    pub(crate) row_stride: usize,
    pub(crate) channels: usize,
    /// Rows and columns that there are; what lies outside is 0.
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    pub(crate) pad_top: usize,
    pub(crate) pad_left: usize,
    pub(crate) sources: &'a [Source],
    pub(crate) registers: &'a [Register],
    /// Where the transforms go: register `i` of channel `c` and point `p` to
    /// `p * point_stride + c * channel_stride + i * LANES`. Lanes without a tile are written as well.
    pub(crate) v: &'a mut [T],
    pub(crate) point_stride: usize,
    pub(crate) channel_stride: usize,
}

impl<T> Input<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0);
        let last = (self.form.points() - 1) * self.point_stride
            + (self.channels - 1) * self.channel_stride;
        assert!(last + self.registers.len() * lanes <= self.v.len());
        let rows = self.in_h.saturating_sub(1) * self.row_stride;
        let last = (self.channels - 1) * self.plane_stride + rows + self.in_w;
        for register in self.registers {
            register.check(|i| self.sources[i].tiles, lanes);
            for source in &self.sources[register.first..register.last] {
                assert!(source.tiles > 0 && source.offset + last <= self.x.len());
            }
        }
    }
}

/// Transforms the columns of some tiles of a channel down, and writes them to the lines from `to` on,
/// whole registers of them.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, the plane of the channel lies within `x`, and so many
/// whole registers can be written from `to` on to each of `IN` lines.
#[inline(always)]
unsafe fn columns<V: Vector, F: Points<IN>, const IN: usize>(
    args: &Input<'_, V::Elem>,
    (channel, s): (usize, &Source),
    columns: Range<usize>,
    to: *mut V::Elem,
) {
    // SAFETY: the caller guarantees the CPU and the lines. Of a row of the image only the columns
    // `from..until` of a register are read, which lie within it.
    unsafe {
        let plane = args.x.as_ptr().add(s.offset + channel * args.plane_stride);
        let first = columns.start;
        for c in columns.step_by(V::LANES) {
            let col = s.left + c;
            let from = args.pad_left.saturating_sub(col).min(V::LANES);
            let until = (args.in_w + args.pad_left).saturating_sub(col).min(V::LANES).max(from);
            let d: [V; IN] = from_fn(|r| {
                let row = (s.top + r).wrapping_sub(args.pad_top);
                if row >= args.in_h {
                    return V::splat(V::Elem::default());
                }
                let p = plane.add(row * args.row_stride);
                let p = p.wrapping_add(col).wrapping_sub(args.pad_left);
                // The same pixels of the next channel will be read next.
                V::prefetch(p.wrapping_add(args.plane_stride));
                if until - from == V::LANES { V::load(p) } else { V::load_range(p, from, until) }
            });
            for (r, t) in F::input(d).into_iter().enumerate() {
                t.store(to.add(r * PITCH * V::LANES + c - first));
            }
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Input::check`] has passed, and `F` with tiles of `OUT`
/// pixels is `form`.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    args: &mut Input<'_, V::Elem>,
) {
    /// The most runs of `OUT` pixels that a tile has.
    const RUNS: usize = 3;
    const { assert!(IN.div_ceil(OUT) <= RUNS && OUT < PITCH) };
    // SAFETY: the caller guarantees the CPU. Each of the lines has `PITCH` registers, of which at most
    // `OUT * LANES` elements and the register that they end in are written, or `IN - OUT` elements more
    // where a source stands alone; what is read of them are `OUT * LANES` elements from the start, or
    // from the first of a later run on. What is written to `v` has been checked.
    unsafe {
        let mut lines = [[[V::splat(V::Elem::default()); PITCH]; IN]; RUNS];
        let runs = lines.as_mut_ptr().cast::<V::Elem>();
        let runs: [*mut V::Elem; RUNS] = from_fn(|run| runs.add(run * IN * PITCH * V::LANES));
        for channel in 0..args.channels {
            for (i, register) in args.registers.iter().enumerate() {
                let sources = &args.sources[register.first..register.last];
                // The pixels of a tile from `OUT` on are the first of its neighbours, if it has them.
                let from: [*const V::Elem; RUNS] = if let [s] = sources {
                    let end = OUT * (s.tiles - 1) + IN;
                    columns::<V, F, IN>(args, (channel, s), 0..end, runs[0]);
                    from_fn(|run| runs[0].add(run * OUT).cast_const())
                } else {
                    let mut at = 0;
                    for s in sources {
                        let end = OUT * (s.tiles - 1) + IN;
                        for run in 0..IN.div_ceil(OUT) {
                            let first = run * OUT;
                            let columns_of = first..end.min(first + OUT * s.tiles);
                            columns::<V, F, IN>(args, (channel, s), columns_of, runs[run].add(at));
                        }
                        at += OUT * s.tiles;
                    }
                    runs.map(<*mut _>::cast_const)
                };
                let v = args.v.as_mut_ptr().add(channel * args.channel_stride + i * V::LANES);
                for r in 0..IN {
                    let line = r * PITCH * V::LANES;
                    let from: [*const V::Elem; RUNS] = from_fn(|run| from[run].add(line));
                    let t = F::input(gather::<V, OUT, IN>(&from));
                    for (c, t) in t.into_iter().enumerate() {
                        t.store(v.add((r * IN + c) * args.point_stride));
                    }
                }
            }
        }
    }
}
