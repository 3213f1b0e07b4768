//! The transform of the sums.

use super::super::pool::greatest;
use super::super::vector::Vector;
use super::{Form, PITCH, Points, Register};
use crate::kernels::plane_rows::{PlaneLayout, PlaneRows};

/// Neighbouring tiles of one row of tiles of one image, or of one phase of it where the window is
/// dilated: the pixels of the output that read the same pixels of the input.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment {
    /// The image, counted from the first of its block.
    pub(crate) image: usize,
    /// The first row and column of the phase.
    pub(crate) phase: [usize; 2],
    /// The first row and column of the tiles, counted within the phase.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many tiles there are.
    pub(crate) tiles: usize,
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
    pub(crate) y: &'a mut [PlaneRows<'y, T>],
    /// To be pooled takes tiles of an even number of rows, and no dilation.
    pub(crate) planes: PlaneLayout,
    pub(crate) channels: usize,
    /// Rows and columns from one pixel of a phase to the next.
    pub(crate) dilation: [usize; 2],
    /// Of each channel, if there is one.
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) relu: bool,
}

impl<T> Output<'_, '_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.channels > 0 && self.dilation[0] > 0 && self.dilation[1] > 0);
        assert!(self.bias.is_none_or(|bias| bias.len() >= self.channels));
        let pool = self.planes.pool;
        assert!(!pool || self.form.out().is_multiple_of(2) && self.dilation == [1, 1]);
        let end = self.channels * self.planes.plane_len();
        let last = (self.form.points() - 1) * self.point_stride
            + (self.channels - 1) * self.channel_stride;
        assert!(last + self.registers.len() * lanes <= self.m.len());
        for register in self.registers {
            register.check(|i| self.segments[i].tiles, lanes);
            for s in &self.segments[register.first..register.last] {
                let y = &self.y[s.image];
                assert!(s.tiles > 0 && end <= y.len());
                assert!(!pool || s.top.is_multiple_of(2) && s.left.is_multiple_of(2));
                let row = |r: usize| s.phase[0] + self.dilation[0] * (s.top + r);
                let [height, _] = extent(self, s, self.form.out());
                if height > 0 {
                    y.check(row(0)..row(height - 1) + 1, self.planes);
                }
            }
        }
    }
}

/// Rows and columns of a segment within the output, at most those of its tiles.
#[inline(always)]
fn extent<T>(args: &Output<'_, '_, T>, s: &Segment, out: usize) -> [usize; 2] {
    let left_over = |out: usize, phase: usize, dilation: usize, first: usize| {
        out.saturating_sub(phase).div_ceil(dilation).saturating_sub(first)
    };
    let height = left_over(args.planes.out_h, s.phase[0], args.dilation[0], s.top);
    let width = left_over(args.planes.out_w, s.phase[1], args.dilation[1], s.left);
    [out.min(height), (out * s.tiles).min(width)]
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Output::check`] has passed, and `F` with tiles of `OUT`
/// pixels is `form`.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    args: &mut Output<'_, '_, V::Elem>,
) {
    const { assert!(OUT < PITCH) };
    let zero = V::Elem::default();
    let PlaneLayout { out_h, out_w, pool } = args.planes;
    let plane_len = out_h * out_w;
    // SAFETY: the caller guarantees the CPU. Of each of the lines `OUT` registers are written, and at
    // most that many elements read, and the rest of a register. What is read of `m` has been checked. Of
    // `y`, that the planes exist has been checked; a register is written as a whole where all its
    // columns lie within a row.
    unsafe {
        let mut lines = [[V::splat(zero); PITCH]; OUT];
        let lines = lines.as_mut_ptr().cast::<V::Elem>();
        for channel in 0..args.channels {
            let bias = V::splat(args.bias.map_or(zero, |bias| bias[channel]));
            for (i, register) in args.registers.iter().enumerate() {
                let m = args.m.as_ptr().add(channel * args.channel_stride + i * V::LANES);
                let half = columns::<V, F, OUT, IN>(m, args.point_stride);
                let segments = &args.segments[register.first..register.last];
                if pool {
                    let mut pixels = [[bias; OUT]; OUT];
                    for r in 0..OUT {
                        let t = F::output::<V, OUT>(half[r]);
                        for c in 0..OUT {
                            let value = t[c].add(bias);
                            pixels[r][c] = if args.relu { value.relu() } else { value };
                        }
                    }
                    let tagged =
                        segments.iter().any(|s| args.y.get_unchecked(s.image).has_argmax());
                    if tagged {
                        pooled::<V, OUT, true>(args, (channel, segments), &pixels, lines);
                    } else {
                        pooled::<V, OUT, false>(args, (channel, segments), &pixels, lines);
                    }
                    continue;
                }
                let whole = match segments {
                    [s] if args.dilation[1] == 1 => {
                        let [height, width] = extent(args, s, OUT);
                        (width == OUT * V::LANES).then_some((s, height))
                    }
                    _ => None,
                };
                // Along the rows.
                for r in 0..OUT {
                    let mut t = F::output::<V, OUT>(half[r]);
                    for c in 0..OUT {
                        t[c] = t[c].add(bias);
                        if args.relu {
                            t[c] = t[c].relu();
                        }
                    }
                    match whole {
                        Some((s, height)) if r < height => {
                            let row = s.phase[0] + args.dilation[0] * (s.top + r);
                            let y = args.y.get_unchecked_mut(s.image).as_mut_ptr();
                            let to = y.add(channel * plane_len + row * out_w + s.left);
                            // The same pixels of the next channel will be written next.
                            for c in 0..OUT {
                                V::prefetch_to_write(to.wrapping_add(plane_len + c * V::LANES));
                            }
                            V::store_by(t, to);
                        }
                        Some(_) => {}
                        None => V::store_by(t, lines.add(r * PITCH * V::LANES)),
                    }
                }
                if whole.is_none() {
                    let mut at = 0;
                    for s in segments {
                        let y = args.y.get_unchecked_mut(s.image).as_mut_ptr();
                        rows::<V, OUT>(args, s, y.add(channel * plane_len), lines.add(at));
                        at += OUT * s.tiles;
                    }
                }
            }
        }
    }
}

/// The transform of a register of tiles down the columns, whose points stand `point_stride` apart.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the sums exist.
#[inline(always)]
pub(super) unsafe fn columns<V: Vector, F: Points<IN>, const OUT: usize, const IN: usize>(
    m: *const V::Elem,
    point_stride: usize,
) -> [[V; IN]; OUT] {
    // SAFETY: that of the caller.
    unsafe {
        let mut half = [[V::splat(V::Elem::default()); IN]; OUT];
        for c in 0..IN {
            let mut column = [V::splat(V::Elem::default()); IN];
            for r in 0..IN {
                column[r] = V::load(m.add((r * IN + c) * point_stride));
            }
            let t = F::output::<V, OUT>(column);
            for r in 0..OUT {
                half[r][c] = t[r];
            }
        }
        half
    }
}

/// Pools the pixels of a register of tiles and writes them: tiles have an even number of rows and columns,
/// and so each square of two by two pixels lies within one.
///
/// # Safety
///
/// As [`rows`]; `TAGS` says whether `argmax` is asked for.
#[inline(always)]
unsafe fn pooled<V: Vector, const OUT: usize, const TAGS: bool>(
    args: &mut Output<'_, '_, V::Elem>,
    (channel, segments): (usize, &[Segment]),
    pixels: &[[V; OUT]; OUT],
    lines: *mut V::Elem,
) {
    let (half, line) = (OUT / 2, PITCH * V::LANES);
    // SAFETY: the caller guarantees the CPU and `OUT` lines, of which half are written with values and half
    // with tags. Of the plane, which has been checked, rows below half of `out_h` are written from half
    // of `s.left` on, and of each at most the columns that are left of half of `out_w`.
    unsafe {
        for r in 0..half {
            let mut values = [pixels[0][0]; 2];
            let mut tags = values;
            for c in 0..half {
                let [upper, lower] =
                    [2 * r, 2 * r + 1].map(|r| [pixels[r][2 * c], pixels[r][2 * c + 1]]);
                [values[c], tags[c]] = greatest::<V, TAGS>(upper, lower);
            }
            for (vectors, to) in
                [(values, lines.add(r * line)), (tags, lines.add((half + r) * line))]
            {
                if half == 2 { V::store_by_2(vectors, to) } else { vectors[0].store(to) }
            }
        }
        let (plane_len, out_w) = (args.planes.plane_len(), args.planes.out_w / 2);
        let mut at = 0;
        for s in segments {
            let [height, width] = extent(args, s, OUT).map(|pixels| pixels / 2);
            let out = args.y.get_unchecked_mut(s.image);
            let y = out.as_mut_ptr().add(channel * plane_len);
            let argmax = out.argmax().unwrap_or(std::ptr::null_mut());
            let argmax = argmax.wrapping_add(channel * plane_len);
            for r in 0..height {
                for c in (0..width).step_by(V::LANES) {
                    let place = (s.top / 2 + r) * out_w + s.left / 2 + c;
                    let count = V::LANES.min(width - c);
                    // The same pixels of the next channel will be written next.
                    V::prefetch_to_write(y.wrapping_add(place + plane_len));
                    let from = lines.add(r * line + at + c);
                    V::load(from).store_first(y.add(place), count);
                    if TAGS {
                        V::load(from.add(half * line)).store_bytes(argmax.add(place), count);
                    }
                }
            }
            at += half * s.tiles;
        }
    }
}

/// Writes the lines of a segment to a plane.
///
/// # Safety
///
/// That of [`output`]; of each of `OUT` lines the pixels of the segment can be read, and the rest of the
/// register that they end in.
#[inline(always)]
unsafe fn rows<V: Vector, const OUT: usize>(
    args: &Output<'_, '_, V::Elem>,
    s: &Segment,
    y: *mut V::Elem,
    lines: *const V::Elem,
) {
    let [height, width] = extent(args, s, OUT);
    let [down, along] = args.dilation;
    let PlaneLayout { out_h, out_w, .. } = args.planes;
    // SAFETY: the caller guarantees the CPU and the lines. Of `y`, rows below `out_h` are written, and
    // of each at most the columns that are left; that the plane exists has been checked.
    unsafe {
        for r in 0..height {
            let row = s.phase[0] + down * (s.top + r);
            for c in (0..width).step_by(V::LANES) {
                let value = V::load(lines.add(r * PITCH * V::LANES + c));
                let count = V::LANES.min(width - c);
                let to = y.add(row * out_w + s.phase[1] + along * (s.left + c));
                // The same pixels of the next channel will be written next.
                V::prefetch_to_write(to.wrapping_add(out_h * out_w));
                if along != 1 {
                    value.store_by_stride(to, count, along);
                } else if count == V::LANES {
                    value.store(to);
                } else {
                    value.store_first(to, count);
                }
            }
        }
    }
}
