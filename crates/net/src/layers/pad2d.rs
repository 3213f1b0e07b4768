//! Rows and columns around the images.

use conv::parallel::{piece, pieces};
use im2col::Padding;
use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::parallel::planes_per_task;
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Seeds, State, Tail,
};

/// What the rows and columns around an image hold.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PadMode {
    /// The same value everywhere.
    Constant(f64),
    /// The image mirrored at its outermost pixels, which are not repeated: `c b | a b c`. The
    /// padding is less than the image.
    Reflect,
    /// The outermost pixels, repeated: `a a | a b c`.
    Replicate,
    /// The image once more, as on a torus: `b c | a b c`. The padding is at most the image.
    Circular,
}

/// The plan of a padding layer; see [`pad2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pad2dSpec {
    padding: Padding,
    mode: PadMode,
}

/// Adds rows and columns around each image: `(N, C, H, W)` to
/// `(N, C, top + H + bottom, left + W + right)`, as PyTorch's `pad`.
///
/// Convolutions and pools pad by themselves; this layer is for other values than 0, or to change
/// the size of the images once for all.
#[must_use]
pub const fn pad2d(padding: Padding, mode: PadMode) -> Pad2dSpec {
    Pad2dSpec { padding, mode }
}

impl PadMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Constant(_) => "constant",
            Self::Reflect => "reflect",
            Self::Replicate => "replicate",
            Self::Circular => "circular",
        }
    }

    /// The largest padding that an axis of `len` pixels can have.
    fn limit(self, len: usize) -> usize {
        match self {
            Self::Constant(_) => usize::MAX,
            Self::Reflect => len.saturating_sub(1),
            Self::Replicate if len == 0 => 0,
            Self::Replicate => usize::MAX,
            Self::Circular => len,
        }
    }

    /// For each place of a padded axis the pixel that it shows; `None` for the constant.
    fn sources(self, before: usize, len: usize, after: usize) -> Vec<Option<usize>> {
        let source = |place: usize| {
            if (before..before + len).contains(&place) {
                return Some(place - before);
            }
            match self {
                Self::Constant(_) => None,
                Self::Reflect if place < before => Some(before - place),
                Self::Reflect => Some(2 * (len - 1) - (place - before)),
                Self::Replicate if place < before => Some(0),
                Self::Replicate => Some(len - 1),
                Self::Circular => Some((place + len - before) % len),
            }
        };
        (0..before + len + after).map(source).collect()
    }
}

impl<T: NetScalar> LayerSpec<T> for Pad2dSpec {
    fn stem(&self) -> &'static str {
        "pad"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        let [n, c, h, w] = input.dims();
        let Padding { top, left, bottom, right } = self.padding;
        for (side, pad, len) in
            [("above", top, h), ("below", bottom, h), ("left", left, w), ("right", right, w)]
        {
            let (mode, limit) = (self.mode.name(), self.mode.limit(len));
            if pad > limit {
                return Err(Misfit::Padding { mode, side, pad, limit });
            }
        }
        let padded = |len: usize, before, after| len.saturating_add(before).saturating_add(after);
        Ok(Shape4::new(n, c, padded(h, top, bottom), padded(w, left, right))?)
    }

    fn build(
        self: Box<Self>,
        name: String,
        input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        LayerSpec::<T>::output_shape(&*self, input)?;
        let [_, _, in_h, in_w] = input.dims();
        let Padding { top, left, bottom, right } = self.padding;
        let rows = self.mode.sources(top, in_h, bottom);
        let cols = self.mode.sources(left, in_w, right);
        Ok(Box::new(Pad2d { name, spec: *self, in_h, in_w, rows, cols }))
    }
}

#[derive(Debug)]
struct Pad2d {
    name: String,
    spec: Pad2dSpec,
    in_h: usize,
    in_w: usize,
    /// The row and the column that each row and each column of the output shows.
    rows: Vec<Option<usize>>,
    cols: Vec<Option<usize>>,
}

impl Pad2d {
    fn forward_plane<T: NetScalar>(&self, x: &[T], y: &mut [T]) {
        let outside = match self.spec.mode {
            PadMode::Constant(value) => T::from_f64(value),
            _ => T::ZERO,
        };
        for (row, y) in self.rows.iter().zip(y.chunks_exact_mut(self.cols.len())) {
            match row {
                None => y.fill(outside),
                Some(row) => {
                    let x = &x[row * self.in_w..][..self.in_w];
                    for (y, col) in y.iter_mut().zip(&self.cols) {
                        *y = col.map_or(outside, |col| x[col]);
                    }
                }
            }
        }
    }

    /// Every pixel gets the gradients of all places that show it.
    fn backward_plane<T: NetScalar>(&self, dy: &[T], dx: &mut [T]) {
        dx.fill(T::ZERO);
        for (row, dy) in self.rows.iter().zip(dy.chunks_exact(self.cols.len())) {
            let Some(row) = row else { continue };
            let dx = &mut dx[row * self.in_w..][..self.in_w];
            for (&dy, col) in dy.iter().zip(&self.cols) {
                if let Some(col) = *col {
                    dx[col] += dy;
                }
            }
        }
    }
}

impl<T: NetScalar> Layer<T> for Pad2d {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        format!("pad to {}x{}, {}", self.rows.len(), self.cols.len(), self.spec.mode.name())
    }

    fn reads(&self, _tail: Tail) -> Reads {
        Reads::NEITHER
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        let [n, c, ..] = input.dims();
        check(&self.name, "the input", input, Shape4::new(n, c, self.in_h, self.in_w)?)?;
        Ok(Shape4::new(n, c, self.rows.len(), self.cols.len())?)
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        mut y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        let output = Layer::<T>::output_shape(self, x.shape())?;
        check(&self.name, "the output", y.shape(), output)?;
        if x.shape().is_empty() {
            // Of an image without pixels there is only the padding.
            if let PadMode::Constant(value) = self.spec.mode {
                y.fill(T::from_f64(value));
            }
            return Ok(());
        }
        let (in_len, out_len) = (self.in_h * self.in_w, output.plane_len());
        pieces(y.into_data(), out_len, planes_per_task(out_len), &|plane, y| {
            self.forward_plane(piece(x.data(), plane, in_len), y);
        });
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        _state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        let Some(dx) = dx.filter(|dx| !dx.shape().is_empty()) else { return Ok(()) };
        let (in_len, out_len) = (self.in_h * self.in_w, gradient.dy.shape().plane_len());
        pieces(dx.into_data(), in_len, planes_per_task(out_len), &|plane, dx| {
            self.backward_plane(piece(gradient.dy.data(), plane, out_len), dx);
        });
        Ok(())
    }
}
