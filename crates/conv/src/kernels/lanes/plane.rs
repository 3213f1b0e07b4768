//! Channels that stand alone under a square window: the image is read where it is.
//!
//! Nothing is copied, because that would cost as much as the sums: registers that reach over an end
//! of a row read the lanes within it, and a row of 0 stands for those above and below.

use super::super::vector::Vector;
use super::rows::lanes_within;

/// Rows of the output that are summed together, so that each row of the input is read once for all
/// that it is part of.
const ROWS: usize = 4;

/// Elements of 0 before and after a row of 0, as far as registers reach over its ends.
pub(crate) const MARGIN: usize = 64;

/// How many elements ahead lines of the cache are asked for, of the next rows or the next channel.
pub(super) const AHEAD: usize = 2048;

/// One channel of an image under a square window of its own.
pub(crate) struct Plane<'a, T> {
    /// The input, and where in it the channel begins, `in_h` rows of `in_w`. What stands around it may be
    /// read, but has no influence.
    pub(crate) x: &'a [T],
    pub(crate) at: usize,
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    /// A row of 0 between margins, `MARGIN + in_w + MARGIN` elements.
    pub(crate) zeros: &'a [T],
    /// Rows and columns of the window, 3 or 5.
    pub(crate) kernel: usize,
    /// Steps of the window in both directions, 1 or 2.
    pub(crate) stride: usize,
    /// Rows of padding above, columns to the left. What lies below and to the right follows.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// The weights, `kernel * kernel`.
    pub(crate) w: &'a [T],
    /// What each sum begins with.
    pub(crate) bias: T,
    /// The output, `out_h` rows of `out_w`, overwritten.
    pub(crate) y: &'a mut [T],
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

impl<T> Plane<'_, T> {
    /// Whether there is a kernel for a square window of so many rows and such a stride.
    pub(crate) const fn serves(kernel: usize, stride: usize) -> bool {
        matches!((kernel, stride), (3 | 5, 1 | 2))
    }

    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self) {
        self.check_input();
        assert!(self.y.len() >= self.out_h * self.out_w);
        assert!(self.w.len() >= self.kernel * self.kernel);
    }

    /// As [`check`](Self::check), of what the window reads.
    pub(super) fn check_input(&self) {
        assert!(Self::serves(self.kernel, self.stride));
        assert!(self.in_h > 0 && self.in_w > 0 && self.out_h > 0 && self.out_w > 0);
        assert!(self.x.len() >= self.at + self.in_h * self.in_w);
        assert!(self.zeros.len() >= self.in_w + 2 * MARGIN);
        // No window lies in the padding alone.
        let width = (self.out_w - 1) * self.stride + self.kernel;
        assert!(self.left < self.kernel && width < self.left + self.in_w + self.kernel);
    }
}

/// Sums a plane under a window of `K` by `K` with stride `S`.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, [`Plane::check`] has passed, `K` is `kernel` and `S` is
/// `stride`.
#[inline(always)]
pub(crate) unsafe fn plane<V: Vector, const K: usize, const S: usize>(
    args: &mut Plane<'_, V::Elem>,
) {
    // SAFETY: the caller guarantees the CPU; there are K * K weights.
    let mut weights = [[unsafe { V::splat(V::Elem::default()) }; K]; K];
    for kh in 0..K {
        for kw in 0..K {
            // SAFETY: as above.
            weights[kh][kw] = unsafe { V::splat(*args.w.as_ptr().add(kh * K + kw)) };
        }
    }
    // Registers that may reach over an end of their rows: the window reaches over it by less than a
    // register, so that all others lie inside.
    let registers = args.out_w.div_ceil(V::LANES);
    let first = Columns::<V>::new::<_, K, S>(args, 0);
    let last_but_one = Columns::<V>::new::<_, K, S>(args, registers.saturating_sub(2));
    let last = Columns::<V>::new::<_, K, S>(args, registers - 1);
    for row in (0..args.out_h).step_by(ROWS) {
        // The last rows share some with those before them, as the last register does.
        let row = row.min(args.out_h.saturating_sub(ROWS));
        // SAFETY: that of the caller; `row` is one of the output, and the columns are those of
        // registers.
        unsafe {
            let sources = Sources::new::<K, S, ROWS>(args, row);
            border::<V, K, S>(args, &weights, row, &sources, &first);
            for register in 1..registers.saturating_sub(2) {
                let inside = Columns { col: register * V::LANES, ..first };
                self::register::<V, K, S, INSIDE>(args, &weights, row, &sources, &inside);
            }
            if registers > 2 {
                border::<V, K, S>(args, &weights, row, &sources, &last_but_one);
            }
            if registers > 1 {
                border::<V, K, S>(args, &weights, row, &sources, &last);
            }
        }
    }
}

/// The most rows of the input that one group of rows of the output reads.
const SOURCES: usize = (ROWS - 1) * 2 + 5;

/// Rows of the input that a group of rows of the output reads.
pub(super) struct Sources<T> {
    pub(super) rows: [*const T; SOURCES],
    /// Where in `x` the first and the last begin that are not made of 0, if there are any.
    ends: Option<[usize; 2]>,
}

impl<T> Sources<T> {
    /// Those of the group of `R` rows from `row` on.
    #[inline(always)]
    pub(super) fn new<const K: usize, const S: usize, const R: usize>(
        args: &Plane<'_, T>,
        row: usize,
    ) -> Self {
        // Out of the whole slices, because registers may reach around the rows.
        let mut rows = [args.zeros.as_ptr().wrapping_add(MARGIN); SOURCES];
        let mut ends = None;
        for i in 0..(R - 1) * S + K {
            let row = (row * S + i).wrapping_sub(args.top);
            if row < args.in_h {
                let place = args.at + row * args.in_w;
                rows[i] = args.x.as_ptr().wrapping_add(place);
                ends = Some([ends.map_or(place, |[first, _]: [usize; 2]| first), place]);
            }
        }
        Self { rows, ends }
    }

    /// Whether registers of pixels from an element of the rows on lie within `x`, even where they reach
    /// over the ends of the rows.
    #[inline(always)]
    pub(super) fn lie_around<V: Vector, const K: usize, const S: usize>(
        &self,
        args: &Plane<'_, T>,
        col: usize,
    ) -> bool {
        self.ends.is_none_or(|[first, last]| {
            first + col >= args.left
                && last + col + K - 1 + S * V::LANES <= args.x.len() + args.left
        })
    }
}

/// How a register is read: it lies within the rows;
pub(super) const INSIDE: u8 = 0;
/// it reaches over their ends, but `x` goes on there;
pub(super) const AROUND: u8 = 1;
/// it reaches over the ends of `x`. (Masked loads are slow where lines are not in the cache yet.)
pub(super) const MASKED: u8 = 2;

/// A register of pixels that may reach over an end of its rows, as [`register`].
///
/// # Safety
///
/// As [`register`].
#[inline(always)]
unsafe fn border<V: Vector, const K: usize, const S: usize>(
    args: &mut Plane<'_, V::Elem>,
    weights: &[[V; K]; K],
    row: usize,
    sources: &Sources<V::Elem>,
    columns: &Columns<V>,
) {
    let around = sources.lie_around::<V, K, S>(args, columns.col * S);
    // SAFETY: that of the caller; all that is read around the rows has been found within `x`.
    unsafe {
        if around {
            register::<V, K, S, AROUND>(args, weights, row, sources, columns);
        } else {
            register::<V, K, S, MASKED>(args, weights, row, sources, columns);
        }
    }
}

/// A register of pixels, and what it reads of the rows of the input.
pub(super) struct Columns<V: Vector> {
    /// The first pixel.
    pub(super) col: usize,
    /// Which lanes of the [parts](part) lie within the rows.
    pub(super) masks: [V::Mask; PARTS],
}

impl<V: Vector> Columns<V> {
    /// Those of a register of a row, in a function that has the instruction set of `V`.
    #[inline(always)]
    pub(super) fn new<T, const K: usize, const S: usize>(
        args: &Plane<'_, T>,
        register: usize,
    ) -> Self {
        let (in_w, left) = (args.in_w, args.left);
        // The last register begins where it still has all its lanes, if the row fills one: what two
        // registers share is summed twice, and the same.
        let col = (register * V::LANES).min(args.out_w.saturating_sub(V::LANES));
        let first = (col * S).wrapping_sub(left);
        // SAFETY: the caller runs with the instruction set; the lanes exist.
        let mut masks = [unsafe { V::mask(0, 0) }; PARTS];
        for i in 0..PARTS {
            let part = part(S, V::LANES, i);
            let (from, to) = lanes_within(V::LANES, in_w, first.wrapping_add(part));
            // SAFETY: as above.
            masks[i] = unsafe { V::mask(from, to) };
        }
        Self { col, masks }
    }
}

/// The most registers that are read of a row, for five columns with stride 2.
pub(super) const PARTS: usize = 6;

/// How many elements after the first the register `i` of those begins that are read of a row: one
/// for each column of the window, or with stride 2 two for every other column.
const fn part(stride: usize, lanes: usize, i: usize) -> usize {
    if stride == 1 { i } else { i / 2 * 2 + i % 2 * lanes }
}

/// A register of pixels of [`ROWS`] rows from `row` on, or of all rows if they are fewer.
///
/// # Safety
///
/// As [`plane`]; `row` is 0 or `row + ROWS <= out_h`; the sources are those of `row`, and the columns
/// those of a register for which `READ` is right.
#[inline(always)]
unsafe fn register<V: Vector, const K: usize, const S: usize, const READ: u8>(
    args: &mut Plane<'_, V::Elem>,
    weights: &[[V; K]; K],
    row: usize,
    sources: &Sources<V::Elem>,
    columns: &Columns<V>,
) {
    // SAFETY: the caller guarantees the CPU. Each source has `in_w` elements, which all `S * LANES + K -
    // 1` elements of a register inside lie within; those of one that reaches around lie within `x`, or
    // within the margins of the row of 0; and of another those lanes are read that lie within the rows.
    // `y` has the rows that are written, and of each the elements from `col` to `col + LANES` or the
    // end of the row are written.
    unsafe {
        let col = columns.col;
        let y = args.y.as_mut_ptr().add(row * args.out_w + col);
        let mut sums = [V::splat(args.bias); ROWS];
        for r in 0..ROWS {
            V::prefetch_to_write(y.wrapping_add(r * args.out_w + AHEAD));
        }
        for i in 0..(ROWS - 1) * S + K {
            let x = sources.rows[i].wrapping_add(col * S).wrapping_sub(args.left);
            if i >= K - S {
                // The rows before are those that the last group has read as well.
                V::prefetch(x.wrapping_add(AHEAD));
            }
            let pixels = load::<V, K, S, READ>(x, columns);
            for r in 0..ROWS {
                if r * S <= i && i < r * S + K {
                    for kw in 0..K {
                        sums[r] = weights[i - r * S][kw].mul_add(pixels[kw], sums[r]);
                    }
                }
            }
        }
        if args.relu {
            for r in 0..ROWS {
                sums[r] = sums[r].relu();
            }
        }
        let count = V::LANES.min(args.out_w - col);
        for r in 0..ROWS.min(args.out_h) {
            let y = y.add(r * args.out_w);
            if READ == INSIDE || count == V::LANES {
                sums[r].store(y);
            } else {
                sums[r].store_first(y, count);
            }
        }
    }
}

/// What each column of a window reads of a row, of which a register begins at `x`: lane `l` of result
/// `kw` is element `kw + S * l` of it, or 0 outside of the row.
///
/// # Safety
///
/// The CPU has the instruction set of `V`, and the lanes of the masks are readable; if not `MASKED`, so
/// are the `S * LANES + K - 1` elements at `x`.
#[inline(always)]
pub(super) unsafe fn load<V: Vector, const K: usize, const S: usize, const READ: u8>(
    x: *const V::Elem,
    columns: &Columns<V>,
) -> [V; K] {
    // Loops and no closures, which would not be inlined where the instruction set is known.
    // SAFETY: the caller guarantees the CPU and the elements; a part begins at most at `K - 1 + (S - 1)
    // * LANES`.
    unsafe {
        let mut parts = [V::splat(V::Elem::default()); PARTS];
        let count = if S == 1 { K } else { K + 1 };
        for i in 0..count {
            let x = x.wrapping_add(part(S, V::LANES, i));
            parts[i] = match READ {
                INSIDE => V::load(x),
                AROUND => V::load(x).keep(columns.masks[i]),
                _ => V::load_masked(x, columns.masks[i]),
            };
        }
        let mut pixels = [parts[0]; K];
        for kw in 0..K {
            pixels[kw] = if S == 1 {
                parts[kw]
            } else {
                parts[kw / 2 * 2].unzip(parts[kw / 2 * 2 + 1])[kw % 2]
            };
        }
        pixels
    }
}
