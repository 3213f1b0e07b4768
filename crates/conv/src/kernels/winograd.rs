//! The three transforms and the product of Winograd's F(4x4, 3x3).
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, with the points
//! {0, ±√2/2, ±√2, ∞}: with a = √2/2 and b = √2,
//!
//! ```text
//!       | 1   0   -5/2  0   1  0 |       |  1      0      0    |        | 1  1   1    1    1   0 |
//!       | 0  -b    -2   a   1  0 |       | -2/3  -2a/3   -1/3  |        | 0  a  -a    b   -b   0 |
//! B^T = | 0   b    -2  -a   1  0 |   G = | -2/3   2a/3   -1/3  |  A^T = | 0 1/2 1/2   2    2   0 |
//!       | 0  -a   -1/2  b   1  0 |       |  1/6   b/6     1/3  |        | 0 a/2 -a/2  2b  -2b  1 |
//!       | 0   a   -1/2 -b   1  0 |       |  1/6  -b/6     1/3  |
//!       | 0   1     0 -5/2  0  1 |       |  0      0      1    |
//!
//! Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
//! ```
//!
//! Tiles stand in the lanes of the input and output transforms, output channels in those of the
//! transform of the weights.

use std::array::from_fn;

use tensor4::Scalar;

use super::vector::Vector;

/// Rows and columns of an output tile.
pub(crate) const OUT: usize = 4;
/// Rows and columns of an input tile.
pub(crate) const IN: usize = 6;
/// Points of the transform.
pub(crate) const POINTS: usize = IN * IN;
/// Channels whose transforms stand together.
pub(crate) const CHUNK: usize = 8;
/// The most output channels of one product.
pub(crate) const ROWS: usize = 16;
/// How many elements ahead the weights of a product are asked for.
const AHEAD: usize = 256;
/// Registers of tiles of one product.
pub(crate) const COLS: usize = 3;

/// Neighbouring tiles of one row of tiles of one image.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment {
    /// The image.
    pub(crate) image: usize,
    /// The first row and column of the output.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// How many tiles there are, at most `LANES`.
    pub(crate) tiles: usize,
    /// Where they stand among the tiles of their block.
    pub(crate) at: usize,
}

/// The transform of some tiles of one channel.
pub(crate) struct Input<'a, T> {
    /// All images; plane `plane` of image `i` starts at `i * image_len + plane * in_h * in_w`.
    pub(crate) x: &'a [T],
    pub(crate) image_len: usize,
    pub(crate) plane: usize,
    pub(crate) in_h: usize,
    pub(crate) in_w: usize,
    pub(crate) pad_top: usize,
    pub(crate) pad_left: usize,
    pub(crate) segments: &'a [Segment],
    /// Where the transforms go: tile `t` of point `p` to `p * point_stride + t`.
    pub(crate) v: &'a mut [T],
    pub(crate) point_stride: usize,
}

impl<T> Input<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        let plane_len = self.in_h * self.in_w;
        for s in self.segments {
            assert!((1..=lanes).contains(&s.tiles));
            assert!(s.image * self.image_len + (self.plane + 1) * plane_len <= self.x.len());
            assert!((POINTS - 1) * self.point_stride + s.at + s.tiles <= self.v.len());
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Input::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector>(args: &mut Input<'_, V::Elem>) {
    // Six rows of up to `4 * LANES + 2` columns, in five registers each.
    const PITCH: usize = 5;
    let pitch = PITCH * V::LANES;
    let plane_len = args.in_h * args.in_w;
    // SAFETY: the caller guarantees the CPU. Of a row of the image only the columns `from..to` of
    // a register are read, which lie within it; of `lines`, `IN * PITCH` registers are written,
    // and at most `4 * LANES + 4` elements from the start of each row are read. What is written to
    // `v` has been checked.
    unsafe {
        let mut lines = [V::splat(V::Elem::default()); IN * PITCH];
        let lines = lines.as_mut_ptr().cast::<V::Elem>();
        for s in args.segments {
            let plane = args.x.as_ptr().add(s.image * args.image_len + args.plane * plane_len);
            let cols = OUT * s.tiles + 2;
            // Down the columns, which neighbouring tiles share.
            for c in (0..cols).step_by(V::LANES) {
                let col = s.left + c;
                let from = args.pad_left.saturating_sub(col).min(V::LANES);
                let to = (args.in_w + args.pad_left).saturating_sub(col).min(V::LANES).max(from);
                let d: [V; IN] = from_fn(|r| {
                    let row = (s.top + r).wrapping_sub(args.pad_top);
                    if row >= args.in_h {
                        return V::splat(V::Elem::default());
                    }
                    let p =
                        plane.add(row * args.in_w).wrapping_add(col).wrapping_sub(args.pad_left);
                    if to - from == V::LANES { V::load(p) } else { V::load_range(p, from, to) }
                });
                for (r, t) in input_1d(d).into_iter().enumerate() {
                    t.store(lines.add(r * pitch + c));
                }
            }
            // Along the rows, every fourth column in a register.
            for r in 0..IN {
                let line = lines.add(r * pitch);
                let [d0, d1, d2, d3] = V::load_by_4(line);
                let [d4, d5, ..] = V::load_by_4(line.add(4));
                let v = args.v.as_mut_ptr().add(r * IN * args.point_stride + s.at);
                let t = input_1d([d0, d1, d2, d3, d4, d5]);
                if s.tiles == V::LANES {
                    for (c, t) in t.into_iter().enumerate() {
                        t.store(v.add(c * args.point_stride));
                    }
                } else {
                    for (c, t) in t.into_iter().enumerate() {
                        t.store_first(v.add(c * args.point_stride), s.tiles);
                    }
                }
            }
        }
    }
}

/// `B^T d`.
#[inline(always)]
unsafe fn input_1d<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; IN]) -> [V; IN] {
    // SAFETY: the caller guarantees the CPU.
    unsafe {
        let c = |x: f64| V::splat(V::Elem::from_f64(x));
        let (a, b) = (c(std::f64::consts::FRAC_1_SQRT_2), c(std::f64::consts::SQRT_2));
        let even = d2.mul_add(c(-2.0), d4);
        let odd = d1.mul_add(c(-2.0), d3).mul(a);
        let even_b = d2.mul_add(c(-0.5), d4);
        let odd_b = d1.mul_add(c(-0.5), d3).mul(b);
        [
            d2.mul_add(c(-2.5), d0.add(d4)),
            even.add(odd),
            even.sub(odd),
            even_b.add(odd_b),
            even_b.sub(odd_b),
            d3.mul_add(c(-2.5), d1.add(d5)),
        ]
    }
}

/// The sums of products at one point: `(rows, channels) x (channels, cols * LANES)`.
pub(crate) struct Product<'a, T> {
    /// The transformed input: row `channel` of a chunk of [`CHUNK`] starts at
    /// `chunk * chunk_stride + (channel % CHUNK) * row_stride`.
    pub(crate) v: &'a [T],
    pub(crate) chunk_stride: usize,
    pub(crate) row_stride: usize,
    pub(crate) channels: usize,
    /// The transformed weights: those of a channel start at `channel * u_stride`.
    pub(crate) u: &'a [T],
    pub(crate) u_stride: usize,
    /// The result, overwritten: row `r` starts at `r * row_stride`.
    pub(crate) m: &'a mut [T],
    /// Registers of tiles, 1 to [`COLS`].
    pub(crate) cols: usize,
    /// Output channels: the number of the table, or for one register of tiles twice as many.
    pub(crate) rows: usize,
}

impl<T> Product<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        let width = self.cols * lanes;
        assert!((1..=COLS).contains(&self.cols) && width <= self.row_stride);
        assert!((1..=ROWS).contains(&self.rows));
        assert!((self.rows - 1) * self.row_stride + width <= self.m.len());
        if self.channels > 0 {
            let last = self.channels - 1;
            let last_row = last / CHUNK * self.chunk_stride + last.min(CHUNK - 1) * self.row_stride;
            assert!(last_row + width <= self.v.len());
            assert!(last * self.u_stride + self.rows <= self.u.len());
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, [`Product::check`] has passed, and `R` and `C` are `rows`
/// and `cols`.
#[inline(always)]
pub(crate) unsafe fn product<V: Vector, const R: usize, const C: usize>(
    args: &mut Product<'_, V::Elem>,
) {
    // SAFETY: the caller guarantees the CPU. The last rows read of `v` and `u` and the last row
    // written of `m` have been checked, and the others stand before them: within a chunk rows
    // follow one another, and a chunk that is not the last is whole.
    unsafe {
        let mut sums = [[V::splat(V::Elem::default()); C]; R];
        let mut chunk = args.v.as_ptr();
        let mut u = args.u.as_ptr();
        let mut left = args.channels;
        while left > 0 {
            let mut v = chunk;
            for _ in 0..left.min(CHUNK) {
                V::prefetch(u.wrapping_add(AHEAD));
                let mut tiles = [V::splat(V::Elem::default()); C];
                for c in 0..C {
                    tiles[c] = V::load(v.add(c * V::LANES));
                }
                for r in 0..R {
                    let weight = V::splat(*u.add(r));
                    for c in 0..C {
                        sums[r][c] = weight.mul_add(tiles[c], sums[r][c]);
                    }
                }
                v = v.wrapping_add(args.row_stride);
                u = u.wrapping_add(args.u_stride);
            }
            chunk = chunk.wrapping_add(args.chunk_stride);
            left -= left.min(CHUNK);
        }
        for r in 0..R {
            for c in 0..C {
                sums[r][c].store(args.m.as_mut_ptr().add(r * args.row_stride + c * V::LANES));
            }
        }
    }
}

/// The output of some tiles of one channel of one image.
pub(crate) struct Output<'a, T> {
    /// The sums: tile `t` of point `p` stands at `p * point_stride + t`; a register may be read from
    /// the first tile of each segment on.
    pub(crate) m: &'a [T],
    pub(crate) point_stride: usize,
    pub(crate) segments: &'a [Segment],
    /// The plane of the channel, overwritten where the tiles lie.
    pub(crate) y: &'a mut [T],
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    pub(crate) bias: T,
    pub(crate) relu: bool,
}

impl<T> Output<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.y.len() >= self.out_h * self.out_w);
        for s in self.segments {
            assert!((1..=lanes).contains(&s.tiles));
            assert!(s.top < self.out_h && s.left + OUT * (s.tiles - 1) < self.out_w);
            assert!((POINTS - 1) * self.point_stride + s.at + lanes <= self.m.len());
        }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Output::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector>(args: &mut Output<'_, V::Elem>) {
    let pitch = OUT * V::LANES;
    // SAFETY: the caller guarantees the CPU. A register from each point at `s.at` lies within `m`.
    // `lines` has `IN` rows of `OUT` registers. Of `y`, rows below `out_h` are written from `s.left`
    // on, and of each at most the columns that are left.
    unsafe {
        let mut lines = [V::splat(V::Elem::default()); IN * OUT];
        let lines = lines.as_mut_ptr().cast::<V::Elem>();
        let bias = V::splat(args.bias);
        for s in args.segments {
            // Along the rows.
            for r in 0..IN {
                let m = args.m.as_ptr().add(r * IN * args.point_stride + s.at);
                let m: [V; IN] = from_fn(|c| V::load(m.add(c * args.point_stride)));
                V::store_by_4(output_1d(m), lines.add(r * pitch));
            }
            // Down the columns.
            let rows = OUT.min(args.out_h - s.top);
            let cols = (OUT * s.tiles).min(args.out_w - s.left);
            for c in (0..cols).step_by(V::LANES) {
                let m: [V; IN] = from_fn(|r| V::load(lines.add(r * pitch + c)));
                let y = output_1d(m);
                let count = V::LANES.min(cols - c);
                for (r, y) in y.into_iter().enumerate().take(rows) {
                    let y = y.add(bias);
                    let y = if args.relu { y.relu() } else { y };
                    let to = (s.top + r) * args.out_w + s.left + c;
                    let to = args.y.as_mut_ptr().add(to);
                    if count == V::LANES { y.store(to) } else { y.store_first(to, count) }
                }
            }
        }
    }
}

/// `A^T m`.
#[inline(always)]
unsafe fn output_1d<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller guarantees the CPU.
    unsafe {
        let c = |x: f64| V::splat(V::Elem::from_f64(x));
        let (a, b) = (std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::SQRT_2);
        let (sum_a, dif_a) = (m1.add(m2), m1.sub(m2));
        let (sum_b, dif_b) = (m3.add(m4), m3.sub(m4));
        [
            m0.add(sum_a).add(sum_b),
            dif_b.mul_add(c(b), dif_a.mul(c(a))),
            sum_b.mul_add(c(2.0), sum_a.mul(c(0.5))),
            dif_b.mul_add(c(2.0 * b), dif_a.mul_add(c(0.5 * a), m5)),
        ]
    }
}

/// The transform of the weights of up to `LANES` output channels and some channels.
pub(crate) struct Filter<'a, T> {
    /// The weights as [`Pack`](super::Pack) leaves them: `(channels, 3, 3, LANES)`.
    pub(crate) packed: &'a [T],
    pub(crate) channels: usize,
    /// Where they go: point `p` of channel `c` to `p * point_stride + c * LANES`.
    pub(crate) u: &'a mut [T],
    pub(crate) point_stride: usize,
}

impl<T> Filter<'_, T> {
    /// Panics if it would reach beyond its slices.
    pub(crate) fn check(&self, lanes: usize) {
        assert!(self.packed.len() >= self.channels * 9 * lanes);
        assert!((POINTS - 1) * self.point_stride + self.channels * lanes <= self.u.len());
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and [`Filter::check`] has passed.
#[inline(always)]
pub(crate) unsafe fn filter<V: Vector>(args: &mut Filter<'_, V::Elem>) {
    // SAFETY: the caller guarantees the CPU, and the last channel of both slices has been checked.
    unsafe {
        for channel in 0..args.channels {
            let g = args.packed.as_ptr().add(channel * 9 * V::LANES);
            let mut half = [[V::splat(V::Elem::default()); 3]; IN];
            for kw in 0..3 {
                let t = filter_1d(from_fn(|kh| V::load(g.add((kh * 3 + kw) * V::LANES))));
                for r in 0..IN {
                    half[r][kw] = t[r];
                }
            }
            let u = args.u.as_mut_ptr().add(channel * V::LANES);
            for (r, row) in half.into_iter().enumerate() {
                for (c, t) in filter_1d(row).into_iter().enumerate() {
                    t.store(u.add((r * IN + c) * args.point_stride));
                }
            }
        }
    }
}

/// `G g`.
#[inline(always)]
unsafe fn filter_1d<V: Vector>([g0, g1, g2]: [V; 3]) -> [V; IN] {
    // SAFETY: the caller guarantees the CPU.
    unsafe {
        let c = |x: f64| V::splat(V::Elem::from_f64(x));
        let (a, b) = (std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::SQRT_2);
        let even = g2.mul_add(c(-1.0 / 3.0), g0.mul(c(-2.0 / 3.0)));
        let odd = g1.mul(c(-2.0 / 3.0 * a));
        let even_b = g2.mul_add(c(1.0 / 3.0), g0.mul(c(1.0 / 6.0)));
        let odd_b = g1.mul(c(b / 6.0));
        [g0, even.add(odd), even.sub(odd), even_b.add(odd_b), even_b.sub(odd_b), g2]
    }
}
