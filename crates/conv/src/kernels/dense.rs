//! Products of a matrix of weights with few images, each weight read once: what an affine layer is.
//!
//! `w` is `(outputs, inputs)`, row by row; `x` and `y` are `(images, inputs)` and
//! `(images, outputs)`.

mod strips;
pub(crate) mod table;

use super::max_pool::MaxRow;
use super::pairs::{PairShares, PairSums};
use super::vector::Vector;
pub(crate) use strips::Strips;

/// Rows of weights that a gradient by the data takes at a time.
const DEPTH: usize = 16;

/// Some images, to be transposed: element `k` of image `i` goes to place `k * LANES + i`.
pub(crate) struct Transpose<'a, T> {
    /// As many rows of `inputs` as there are images; at most as many as lanes.
    pub(crate) x: &'a [T],
    pub(crate) inputs: usize,
    /// The elements `from..` of the images; overwritten, with 0 where there is no image.
    pub(crate) from: usize,
    pub(crate) panel: &'a mut [T],
}

/// Some rows of weights times images, which lie in the lanes.
pub(crate) struct Forward<'a, T> {
    /// Rows of `inputs`.
    pub(crate) w: &'a [T],
    pub(crate) inputs: usize,
    /// Transposed images: panels of `inputs * LANES`.
    pub(crate) panels: &'a [T],
    /// Overwritten: for each panel and row, a register.
    pub(crate) y: &'a mut [T],
}

/// Some rows of weights times single images.
pub(crate) struct Dot<'a, T> {
    /// Rows of `inputs`.
    pub(crate) w: &'a [T],
    pub(crate) inputs: usize,
    /// Rows of `inputs`.
    pub(crate) x: &'a [T],
    /// Overwritten: for each image and row, a sum.
    pub(crate) y: &'a mut [T],
}

/// Some rows of the gradient by the weights.
pub(crate) struct Weights<'a, T> {
    pub(crate) x: &'a [T],
    pub(crate) inputs: usize,
    /// As many rows as `x` has, `stride` apart, from the first row of the gradient on.
    pub(crate) dy: &'a [T],
    pub(crate) stride: usize,
    /// Rows of `inputs`, overwritten.
    pub(crate) dw: &'a mut [T],
}

/// Some columns of the gradient by the data.
pub(crate) struct Data<'a, T> {
    /// All rows of `inputs`, from the first column on.
    pub(crate) w: &'a [T],
    pub(crate) inputs: usize,
    /// Rows of `outputs`.
    pub(crate) dy: &'a [T],
    pub(crate) outputs: usize,
    /// As many rows as `dy` has, of `row` elements, of which the first `cols` count; overwritten.
    pub(crate) dx: &'a mut [T],
    pub(crate) cols: usize,
    pub(crate) row: usize,
}

/// The kernels of one instruction set for one element type.
pub struct Dense<T: 'static> {
    pub(super) lanes: usize,
    pub(super) transpose: unsafe fn(&mut Transpose<'_, T>),
    pub(super) forward: unsafe fn(&mut Forward<'_, T>),
    pub(super) dot: unsafe fn(&mut Dot<'_, T>),
    pub(super) weights: unsafe fn(&mut Weights<'_, T>),
    pub(super) data: unsafe fn(&mut Data<'_, T>),
    pub(super) strips: unsafe fn(&mut Strips<'_, T>),
    /// Whether there are so few registers that the gradients are [`Strips`].
    pub(super) few_registers: bool,
    pub(super) max_row: unsafe fn(&mut MaxRow<'_, T>),
    pub(super) pair_sums: unsafe fn(&mut PairSums<'_, T>),
    pub(super) pair_shares: unsafe fn(&mut PairShares<'_, T>),
}

impl<T> Dense<T> {
    /// Elements in a register.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Transposes; panics if it reaches beyond its slices. So do all below.
    pub(crate) fn transpose(&self, mut args: Transpose<'_, T>) {
        let images = args.x.len() / args.inputs;
        assert!(images <= self.lanes && args.x.len() == images * args.inputs);
        assert_eq!(args.panel.len() % self.lanes, 0);
        assert!(args.from + args.panel.len() / self.lanes <= args.inputs);
        // SAFETY: the slices have been checked, and a table exists only for a CPU that can run it.
        unsafe { (self.transpose)(&mut args) }
    }

    pub(crate) fn forward(&self, mut args: Forward<'_, T>) {
        let (rows, panel) = (args.w.len() / args.inputs, args.inputs * self.lanes);
        let panels = args.panels.len() / panel;
        assert_eq!(args.w.len(), rows * args.inputs);
        assert_eq!(args.panels.len(), panels * panel);
        assert_eq!(args.y.len(), panels * rows * self.lanes);
        // SAFETY: as above.
        unsafe { (self.forward)(&mut args) }
    }

    /// Whether gradients are to be computed by [`strips`](Self::strips) where there are many images, and
    /// tasks to be large, each reading all images.
    pub(crate) fn few_registers(&self) -> bool {
        self.few_registers
    }

    pub(crate) fn strips(&self, mut args: Strips<'_, T>) {
        args.check();
        // SAFETY: as above.
        unsafe { (self.strips)(&mut args) }
    }

    pub(crate) fn dot(&self, mut args: Dot<'_, T>) {
        let (rows, images) = (args.w.len() / args.inputs, args.x.len() / args.inputs);
        assert_eq!(args.w.len(), rows * args.inputs);
        assert_eq!(args.x.len(), images * args.inputs);
        assert_eq!(args.y.len(), images * rows);
        // SAFETY: as above.
        unsafe { (self.dot)(&mut args) }
    }

    pub(crate) fn weights(&self, mut args: Weights<'_, T>) {
        let (images, rows) = (args.x.len() / args.inputs, args.dw.len() / args.inputs);
        assert_eq!(args.x.len(), images * args.inputs);
        assert_eq!(args.dw.len(), rows * args.inputs);
        assert!(images == 0 || (images - 1) * args.stride + rows <= args.dy.len());
        // SAFETY: as above.
        unsafe { (self.weights)(&mut args) }
    }

    pub(crate) fn data(&self, mut args: Data<'_, T>) {
        let images = args.dy.len() / args.outputs;
        assert_eq!(args.dy.len(), images * args.outputs);
        assert!(args.cols <= args.row);
        assert_eq!(args.dx.len(), images * args.row);
        assert!((args.outputs - 1) * args.inputs + args.cols <= args.w.len());
        // SAFETY: as above.
        unsafe { (self.data)(&mut args) }
    }
}

/// # Safety
///
/// The CPU has the instruction set of `V`, and the arguments have been checked by [`Dense`]; so
/// for all below.
#[inline(always)]
pub(super) unsafe fn transpose<V: Vector>(args: &mut Transpose<'_, V::Elem>) {
    let (images, len) = (args.x.len() / args.inputs, args.panel.len() / V::LANES);
    // SAFETY: row `r` has the elements `from + k..`, `count` of them, and the panel a register for
    // each.
    unsafe {
        let mut k = 0;
        while k < len {
            let count = V::LANES.min(len - k);
            let mut rows = [V::splat(V::Elem::default()); 16];
            for r in 0..images {
                rows[r] =
                    V::load_first(args.x.as_ptr().add(r * args.inputs + args.from + k), count);
            }
            let to = args.panel.as_mut_ptr().add(k * V::LANES);
            V::store_transposed(&rows, V::LANES, to, V::LANES, count);
            k += count;
        }
    }
}

#[inline(always)]
pub(super) unsafe fn forward<V: Vector>(args: &mut Forward<'_, V::Elem>) {
    if V::REGISTERS <= 16 {
        // SAFETY: that of the caller.
        return unsafe { strips::forward::<V>(args) };
    }
    let rows = args.w.len() / args.inputs;
    let panel_len = args.inputs * V::LANES;
    let panels = args.panels.len() / panel_len;
    let mut panel = 0;
    while panel < panels {
        // A weight that is read serves several panels; four panels are twice two.
        let count = match panels - panel {
            4 => 2,
            rest => rest.min(3),
        };
        let mut row = 0;
        while row < rows {
            // SAFETY: that of the caller; there are so many rows and panels.
            row += unsafe {
                match (count, rows - row) {
                    (1, 16..) => columns::<V, 16, 1>(args, row, panel),
                    (1, 8..) => columns::<V, 8, 1>(args, row, panel),
                    (2, 8..) => columns::<V, 8, 2>(args, row, panel),
                    (3, 8..) => columns::<V, 8, 3>(args, row, panel),
                    (1, 4..) => columns::<V, 4, 1>(args, row, panel),
                    (2, 4..) => columns::<V, 4, 2>(args, row, panel),
                    (_, 4..) => columns::<V, 4, 3>(args, row, panel),
                    (1, _) => columns::<V, 1, 1>(args, row, panel),
                    (2, _) => columns::<V, 1, 2>(args, row, panel),
                    _ => columns::<V, 1, 3>(args, row, panel),
                }
            };
        }
        panel += count;
    }
}

/// `R` rows of weights from `row` on times `P` panels of images from `panel` on; returns `R`.
#[inline(always)]
unsafe fn columns<V: Vector, const R: usize, const P: usize>(
    args: &mut Forward<'_, V::Elem>,
    row: usize,
    panel: usize,
) -> usize {
    let (inputs, rows) = (args.inputs, args.w.len() / args.inputs);
    // SAFETY: the caller says that there are such rows and panels.
    unsafe {
        let w = args.w.as_ptr().add(row * inputs);
        let x = args.panels.as_ptr().add(panel * inputs * V::LANES);
        let y = args.y.as_mut_ptr().add((panel * rows + row) * V::LANES);
        let mut sums = [[V::splat(V::Elem::default()); P]; R];
        for k in 0..inputs {
            let mut near = [V::splat(V::Elem::default()); P];
            for p in 0..P {
                near[p] = V::load(x.add((p * inputs + k) * V::LANES));
            }
            if k % 16 == 0 {
                for r in 0..R {
                    V::prefetch(w.wrapping_add(r * inputs + k + 128));
                }
            }
            for r in 0..R {
                let w = V::splat(*w.add(r * inputs + k));
                for p in 0..P {
                    sums[r][p] = w.mul_add(near[p], sums[r][p]);
                }
            }
        }
        for r in 0..R {
            for p in 0..P {
                sums[r][p].store(y.add((p * rows + r) * V::LANES));
            }
        }
    }
    R
}

#[inline(always)]
pub(super) unsafe fn dot<V: Vector>(args: &mut Dot<'_, V::Elem>) {
    let (rows, images) = (args.w.len() / args.inputs, args.x.len() / args.inputs);
    let mut row = 0;
    while row < rows {
        let block = if rows - row >= 4 { 4 } else { 1 };
        for image in 0..images {
            // SAFETY: that of the caller; there are so many rows and images.
            unsafe {
                let w = args.w.as_ptr().add(row * args.inputs);
                let x = args.x.as_ptr().add(image * args.inputs);
                let y = args.y.as_mut_ptr().add(image * rows + row);
                match block {
                    4 => dots::<V, 4>(w, args.inputs, x, y),
                    _ => dots::<V, 1>(w, args.inputs, x, y),
                }
            }
        }
        row += block;
    }
}

#[inline(always)]
unsafe fn dots<V: Vector, const R: usize>(
    w: *const V::Elem,
    inputs: usize,
    x: *const V::Elem,
    y: *mut V::Elem,
) {
    // SAFETY: the caller says that there are `R` rows of weights and sums, and `inputs` elements
    // of `x`.
    unsafe {
        // Two sums of each row, so that one need not wait for the other.
        let mut sums = [[V::splat(V::Elem::default()); 2]; R];
        let mut k = 0;
        while k + 2 * V::LANES <= inputs {
            let near = [V::load(x.add(k)), V::load(x.add(k + V::LANES))];
            for r in 0..R {
                let w = w.add(r * inputs + k);
                V::prefetch(w.wrapping_add(256));
                V::prefetch(w.wrapping_add(256 + 16));
                sums[r][0] = V::load(w).mul_add(near[0], sums[r][0]);
                sums[r][1] = V::load(w.add(V::LANES)).mul_add(near[1], sums[r][1]);
            }
            k += 2 * V::LANES;
        }
        while k < inputs {
            let count = V::LANES.min(inputs - k);
            let x = V::load_first(x.add(k), count);
            for r in 0..R {
                let w = V::load_first(w.add(r * inputs + k), count);
                sums[r][0] = w.mul_add(x, sums[r][0]);
            }
            k += count;
        }
        for r in 0..R {
            *y.add(r) = sums[r][0].add(sums[r][1]).total();
        }
    }
}

#[inline(always)]
pub(super) unsafe fn weights<V: Vector>(args: &mut Weights<'_, V::Elem>) {
    let (inputs, rows) = (args.inputs, args.dw.len() / args.inputs);
    let mut row = 0;
    while row < rows {
        // SAFETY: that of the caller; there are so many rows.
        row += unsafe {
            match rows - row {
                8.. if V::REGISTERS > 16 => outer::<V, 8>(args, inputs, row),
                4.. => outer::<V, 4>(args, inputs, row),
                _ => outer::<V, 1>(args, inputs, row),
            }
        };
    }
}

/// `R` rows of the gradient by the weights; returns `R`.
#[inline(always)]
unsafe fn outer<V: Vector, const R: usize>(
    args: &mut Weights<'_, V::Elem>,
    inputs: usize,
    row: usize,
) -> usize {
    const COLS: usize = 3;
    let images = args.x.len() / inputs;
    // SAFETY: the caller says that there are `R` rows from `row` on; of each, the columns from `i`
    // on are within `inputs`.
    unsafe {
        let dy = args.dy.as_ptr().add(row);
        let dw = args.dw.as_mut_ptr().add(row * inputs);
        let mut i = 0;
        while i + COLS * V::LANES <= inputs {
            let mut sums = [[V::splat(V::Elem::default()); COLS]; R];
            for image in 0..images {
                let x = args.x.as_ptr().add(image * inputs + i);
                let mut near = [V::splat(V::Elem::default()); COLS];
                for c in 0..COLS {
                    near[c] = V::load(x.add(c * V::LANES));
                }
                for r in 0..R {
                    let dy = V::splat(*dy.add(image * args.stride + r));
                    for c in 0..COLS {
                        sums[r][c] = dy.mul_add(near[c], sums[r][c]);
                    }
                }
            }
            for r in 0..R {
                for c in 0..COLS {
                    V::prefetch_to_write(dw.wrapping_add(r * inputs + i + c * V::LANES + 256));
                    sums[r][c].store(dw.add(r * inputs + i + c * V::LANES));
                }
            }
            i += COLS * V::LANES;
        }
        while i < inputs {
            let count = V::LANES.min(inputs - i);
            let mut sums = [V::splat(V::Elem::default()); R];
            for image in 0..images {
                let x = V::load_first(args.x.as_ptr().add(image * inputs + i), count);
                for r in 0..R {
                    let dy = V::splat(*dy.add(image * args.stride + r));
                    sums[r] = dy.mul_add(x, sums[r]);
                }
            }
            for r in 0..R {
                sums[r].store_first(dw.add(r * inputs + i), count);
            }
            i += count;
        }
    }
    R
}

#[inline(always)]
pub(super) unsafe fn strips<V: Vector>(args: &mut Strips<'_, V::Elem>) {
    // SAFETY: that of the caller.
    unsafe { strips::strips::<V>(args) }
}

#[inline(always)]
pub(super) unsafe fn data<V: Vector>(args: &mut Data<'_, V::Elem>) {
    let images = args.dy.len() / args.outputs;
    args.dx.fill(V::Elem::default());
    let mut from = 0;
    while from < args.outputs {
        let depth = DEPTH.min(args.outputs - from);
        let mut image = 0;
        while image < images {
            // SAFETY: that of the caller; there are so many rows of weights and images.
            image += unsafe {
                match images - image {
                    8.. if V::REGISTERS > 16 => onto::<V, 8>(args, from, depth, image),
                    4.. => onto::<V, 4>(args, from, depth, image),
                    _ => onto::<V, 1>(args, from, depth, image),
                }
            };
        }
        from += depth;
    }
}

/// Adds what `depth` rows of weights from `from` on give to `N` images from `image` on; returns
/// `N`.
#[inline(always)]
unsafe fn onto<V: Vector, const N: usize>(
    args: &mut Data<'_, V::Elem>,
    from: usize,
    depth: usize,
    image: usize,
) -> usize {
    /// Registers of columns at a time.
    const COLS: usize = 2;
    let (inputs, outputs, cols, row) = (args.inputs, args.outputs, args.cols, args.row);
    // SAFETY: the caller says that there are such rows and images; the columns are within `cols`.
    unsafe {
        let w = args.w.as_ptr().add(from * inputs);
        let dy = args.dy.as_ptr().add(image * outputs + from);
        let dx = args.dx.as_mut_ptr().add(image * row);
        let mut i = 0;
        while i < cols {
            if i + COLS * V::LANES <= cols {
                let mut sums = [[V::splat(V::Elem::default()); COLS]; N];
                for n in 0..N {
                    for c in 0..COLS {
                        sums[n][c] = V::load(dx.add(n * row + i + c * V::LANES));
                    }
                }
                for o in 0..depth {
                    let w = w.add(o * inputs + i);
                    let mut near = [V::splat(V::Elem::default()); COLS];
                    for c in 0..COLS {
                        // That of the next rows; all images share it.
                        if image == 0 {
                            V::prefetch(w.wrapping_add(DEPTH * inputs + c * V::LANES));
                        }
                        near[c] = V::load(w.add(c * V::LANES));
                    }
                    for n in 0..N {
                        let dy = V::splat(*dy.add(n * outputs + o));
                        for c in 0..COLS {
                            sums[n][c] = dy.mul_add(near[c], sums[n][c]);
                        }
                    }
                }
                for n in 0..N {
                    for c in 0..COLS {
                        sums[n][c].store(dx.add(n * row + i + c * V::LANES));
                    }
                }
                i += COLS * V::LANES;
                continue;
            }
            let count = V::LANES.min(cols - i);
            let mut sums = [V::splat(V::Elem::default()); N];
            for n in 0..N {
                sums[n] = V::load_first(dx.add(n * row + i), count);
            }
            for o in 0..depth {
                let w = V::load_first(w.add(o * inputs + i), count);
                for n in 0..N {
                    sums[n] = V::splat(*dy.add(n * outputs + o)).mul_add(w, sums[n]);
                }
            }
            for n in 0..N {
                sums[n].store_first(dx.add(n * row + i), count);
            }
            i += count;
        }
    }
    N
}
