//! The transforms of tiles, into points and back.

use std::array::from_fn;
use std::ops::Range;

use super::super::pool::greatest;
use super::super::vector::Vector;
use super::{Form, Transform};
use crate::out::Out;

/// Registers of a line: the columns of `LANES` tiles of 4, and two more.
const PITCH: usize = 5;

/// Neighbouring tiles of one row of tiles of one image.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment {
    /// The image, counted from the first of its block.
    pub(crate) image: usize,
    /// The first row and column of the output.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many tiles there are.
    pub(crate) tiles: usize,
}

/// Segments whose tiles stand side by side in a register, at most `LANES` of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Register {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Register {
    /// Its segments.
    fn of(self, segments: &[Segment]) -> &[Segment] {
        &segments[self.first..self.last]
    }

    fn check(self, segments: &[Segment], lanes: usize) {
        let tiles: usize = self.of(segments).iter().map(|segment| segment.tiles).sum();
        assert!(tiles <= lanes);
    }
}

/// The transform of some tiles of some channels.
pub(crate) struct Input<'a, T> {
    pub(crate) form: Form,
    /// The images, each from the first of the channels on; channel `c` of image `i` starts at
    /// `i * image_len + c * in_h * in_w`.
    pub(crate) x: &'a [T],
    pub(crate) image_len: usize,
    pub(crate) channels: usize,
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    pub(crate) pad_top: usize,
    pub(crate) pad_left: usize,
    pub(crate) segments: &'a [Segment],
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
        let planes_len = self.channels * self.in_h * self.in_w;
        let last = (self.form.points() - 1) * self.point_stride
            + (self.channels - 1) * self.channel_stride;
        assert!(last + self.registers.len() * lanes <= self.v.len());
        for register in self.registers {
            register.check(self.segments, lanes);
            for s in register.of(self.segments) {
                assert!(s.image * self.image_len + planes_len <= self.x.len());
            }
        }
    }
}

/// Transforms the columns of a segment of a channel down, and writes them to the lines from `to` on,
/// whole registers of them.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, the plane of the channel lies within `x`, and so many
/// whole registers can be written from `to` on to each of `IN` lines.
#[inline(always)]
unsafe fn columns<V: Vector, F, const OUT: usize, const IN: usize>(
    args: &Input<'_, V::Elem>,
    (channel, s): (usize, &Segment),
    columns: Range<usize>,
    to: *mut V::Elem,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU and the lines. Of a row of the image only the columns
    // `from..to` of a register are read, which lie within it.
    unsafe {
        let plane_len = args.in_h * args.in_w;
        let plane = args.x.as_ptr().add(s.image * args.image_len + channel * plane_len);
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
                let p = plane.add(row * args.in_w).wrapping_add(col).wrapping_sub(args.pad_left);
                // The same pixels of the next channel will be read next.
                V::prefetch(p.wrapping_add(plane_len));
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
/// The CPU has the instruction set of `V`, [`Input::check`] has passed, and `F` is `form`.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, F, const OUT: usize, const IN: usize>(
    args: &mut Input<'_, V::Elem>,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU. `near` and `far` have `IN` lines of `PITCH` registers, of
    // which at most `OUT * LANES` elements and the register that they end in are written, or one
    // register more where a segment stands alone; what is read of them are `OUT * LANES` elements
    // from the start or from `OUT` on. What is written to `v` has been checked.
    unsafe {
        let mut near = [[V::splat(V::Elem::default()); PITCH]; IN];
        let mut far = near;
        let near = near.as_mut_ptr().cast::<V::Elem>();
        let far = far.as_mut_ptr().cast::<V::Elem>();
        for channel in 0..args.channels {
            for (i, register) in args.registers.iter().enumerate() {
                let segments = register.of(args.segments);
                // The pixels of a tile from `OUT` on are the first of its neighbour, if it has one.
                let far = if let [s] = segments {
                    columns::<V, F, OUT, IN>(args, (channel, s), 0..OUT * s.tiles + 2, near);
                    near.add(OUT)
                } else {
                    let mut at = 0;
                    for s in segments {
                        let (s, end) = ((channel, s), OUT * s.tiles);
                        columns::<V, F, OUT, IN>(args, s, 0..end, near.add(at));
                        columns::<V, F, OUT, IN>(args, s, OUT..end + 2, far.add(at));
                        at += end;
                    }
                    far
                };
                let v = args.v.as_mut_ptr().add(channel * args.channel_stride + i * V::LANES);
                for r in 0..IN {
                    let line = r * PITCH * V::LANES;
                    let t = F::input(F::gather::<V>(near.add(line), far.add(line)));
                    for (c, t) in t.into_iter().enumerate() {
                        t.store(v.add((r * IN + c) * args.point_stride));
                    }
                }
            }
        }
    }
}

/// The output of some tiles of some channels.
pub(crate) struct Output<'a, 'y, T> {
    pub(crate) form: Form,
    /// The sums: register `i` of channel `c` and point `p` stands at
    /// `p * point_stride + c * channel_stride + i * LANES`.
    pub(crate) m: &'a [T],
    pub(crate) point_stride: usize,
    pub(crate) channel_stride: usize,
    pub(crate) segments: &'a [Segment],
    pub(crate) registers: &'a [Register],
    /// The planes of the channels, of each image; overwritten where the tiles lie.
    pub(crate) y: &'a mut [Out<'y, T>],
    /// Whether they are pooled.
    pub(crate) pool: bool,
    pub(crate) channels: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Of each channel, if there is one.
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) relu: bool,
}

impl<T> Output<'_, '_, T> {
    /// Elements of a plane that is written.
    fn plane_len(&self) -> usize {
        if self.pool { (self.out_h / 2) * (self.out_w / 2) } else { self.out_h * self.out_w }
    }

    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0);
        assert!(self.bias.is_none_or(|bias| bias.len() >= self.channels));
        let end = self.channels * self.plane_len();
        let last = (self.form.points() - 1) * self.point_stride
            + (self.channels - 1) * self.channel_stride;
        assert!(last + self.registers.len() * lanes <= self.m.len());
        let out = self.form.out();
        for register in self.registers {
            register.check(self.segments, lanes);
            for s in register.of(self.segments) {
                let Out { y, argmax } = &self.y[s.image];
                assert!(s.tiles > 0 && end <= y.len());
                assert!(argmax.is_empty() || argmax.len() == y.len());
                assert!(s.top < self.out_h && s.left + out * (s.tiles - 1) < self.out_w);
                assert!(s.top.is_multiple_of(2) && s.left.is_multiple_of(2));
            }
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Output::check`] has passed, and `F` is `form`.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, F, const OUT: usize, const IN: usize>(
    args: &mut Output<'_, '_, V::Elem>,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU. `lines` has `IN` rows of `OUT` registers, which are
    // written whole, and more than two registers beyond, into which the last loads of a segment may reach.
    // What is read of `m` has been checked.
    unsafe {
        let mut lines = [[V::splat(V::Elem::default()); PITCH]; IN];
        let lines = lines.as_mut_ptr().cast::<V::Elem>();
        for channel in 0..args.channels {
            for (i, register) in args.registers.iter().enumerate() {
                // Along the rows.
                let m = args.m.as_ptr().add(channel * args.channel_stride + i * V::LANES);
                for r in 0..IN {
                    let m = from_fn(|c| V::load(m.add((r * IN + c) * args.point_stride)));
                    F::scatter::<V>(F::output(m), lines.add(r * OUT * V::LANES));
                }
                let mut at = 0;
                for s in register.of(args.segments) {
                    let lines = lines.add(at);
                    match (args.pool, args.y.get_unchecked(s.image).argmax.is_empty()) {
                        (false, _) => rows::<V, F, OUT, IN>(args, (channel, s), lines),
                        (true, true) => pooled::<V, F, OUT, IN, false>(args, (channel, s), lines),
                        (true, false) => pooled::<V, F, OUT, IN, true>(args, (channel, s), lines),
                    }
                    at += OUT * s.tiles;
                }
            }
        }
    }
}

/// Transforms a segment of a channel down the columns, from `lines` on, and writes it.
///
/// # Safety
///
/// That of [`output`]; of each of `IN` lines of `OUT` registers the pixels of the segment can be
/// read, and the rest of the register that they end in.
#[inline(always)]
unsafe fn rows<V: Vector, F, const OUT: usize, const IN: usize>(
    args: &mut Output<'_, '_, V::Elem>,
    (channel, s): (usize, &Segment),
    lines: *const V::Elem,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU and the lines. Of `y`, rows below `out_h` are written from
    // `s.left` on, and of each at most the columns that are left; that the plane exists has been
    // checked.
    unsafe {
        let bias = V::splat(args.bias.map_or(V::Elem::default(), |bias| bias[channel]));
        let plane_len = args.out_h * args.out_w;
        let y = args.y.get_unchecked_mut(s.image).y.as_mut_ptr().add(channel * plane_len);
        let height = OUT.min(args.out_h - s.top);
        let width = (OUT * s.tiles).min(args.out_w - s.left);
        for c in (0..width).step_by(V::LANES) {
            let m = from_fn(|r| V::load(lines.add(r * OUT * V::LANES + c)));
            let count = V::LANES.min(width - c);
            for (r, value) in F::output(m).into_iter().enumerate().take(height) {
                let value = value.add(bias);
                let value = if args.relu { value.relu() } else { value };
                let to = y.add((s.top + r) * args.out_w + s.left + c);
                // The same pixels of the next channel will be written next.
                V::prefetch_to_write(to.wrapping_add(plane_len));
                if count == V::LANES { value.store(to) } else { value.store_first(to, count) }
            }
        }
    }
}

/// As [`rows`], pooled: tiles have an even number of rows and columns, and so each square of two by two
/// pixels lies within one.
///
/// # Safety
///
/// As [`rows`]; of each line two registers can be read from any pixel of the segment on. `TAGS` says
/// whether `argmax` is asked for.
#[inline(always)]
unsafe fn pooled<V: Vector, F, const OUT: usize, const IN: usize, const TAGS: bool>(
    args: &mut Output<'_, '_, V::Elem>,
    (channel, s): (usize, &Segment),
    lines: *const V::Elem,
) where
    F: Transform<OUT, IN>,
{
    // SAFETY: the caller guarantees the CPU and the lines. Of the plane, which has been checked, rows below
    // half of `out_h` are written from half of `s.left` on, and of each at most the columns that are
    // left of half of `out_w`.
    unsafe {
        let bias = V::splat(args.bias.map_or(V::Elem::default(), |bias| bias[channel]));
        let plane_len = args.plane_len();
        let out = args.y.get_unchecked_mut(s.image);
        let y = out.y.as_mut_ptr().add(channel * plane_len);
        let argmax = out.argmax.as_mut_ptr().wrapping_add(channel * plane_len);
        let height = OUT.min(args.out_h - s.top) / 2;
        let width = (OUT * s.tiles).min(args.out_w - s.left) / 2;
        for c in (0..width).step_by(V::LANES) {
            let count = V::LANES.min(width - c);
            let mut pixels = [[V::splat(V::Elem::default()); OUT]; 2];
            for half in 0..2 {
                if half == 1 && 2 * count <= V::LANES {
                    break;
                }
                let lines = lines.add(2 * c + half * V::LANES);
                pixels[half] = F::output(from_fn(|r| V::load(lines.add(r * OUT * V::LANES))));
                for r in 0..OUT {
                    pixels[half][r] = pixels[half][r].add(bias);
                    if args.relu {
                        pixels[half][r] = pixels[half][r].relu();
                    }
                }
            }
            for row in 0..OUT / 2 {
                if row >= height {
                    break;
                }
                let upper = pixels[0][2 * row].unzip(pixels[1][2 * row]);
                let lower = pixels[0][2 * row + 1].unzip(pixels[1][2 * row + 1]);
                let max = greatest::<V, TAGS>(upper, lower);
                let at = (s.top / 2 + row) * (args.out_w / 2) + s.left / 2 + c;
                // The same pixels of the next channel will be written next.
                V::prefetch_to_write(y.wrapping_add(at + plane_len));
                if count == V::LANES {
                    max[0].store(y.add(at));
                } else {
                    max[0].store_first(y.add(at), count);
                }
                if TAGS {
                    max[1].store_bytes(argmax.add(at), count);
                }
            }
        }
    }
}
