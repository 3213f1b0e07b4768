//! Images as rows of a matrix.

use tensor4::{Shape4, View4, ViewMut4};

use crate::layer::{check, check_gradient};
use crate::{
    Gradient, Init, Layer, LayerSpec, Misfit, Mode, NetError, NetScalar, Reads, Seeds, State, Tail,
};

/// The plan of a flattening layer; see [`flatten`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlattenSpec;

/// `(N, C, H, W)` to the matrix `(N, C * H * W)`. An affine layer does that by itself; this one
/// says so.
#[must_use]
pub const fn flatten() -> FlattenSpec {
    FlattenSpec
}

fn flat(input: Shape4) -> Shape4 {
    Shape4::matrix(input.n(), input.image_len()).expect("the same length as the input")
}

impl<T: NetScalar> LayerSpec<T> for FlattenSpec {
    fn stem(&self) -> &'static str {
        "flatten"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Ok(flat(input))
    }

    fn build(
        self: Box<Self>,
        name: String,
        _input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<T>>, Misfit> {
        Ok(Box::new(Flatten { name }))
    }
}

#[derive(Debug)]
struct Flatten {
    name: String,
}

impl<T: NetScalar> Layer<T> for Flatten {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        "flatten".to_owned()
    }

    fn is_identity(&self, _training: bool) -> bool {
        true
    }

    fn reads(&self, _tail: Tail) -> Reads {
        Reads::NEITHER
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(flat(input))
    }

    fn forward(
        &self,
        x: View4<'_, T>,
        mut y: ViewMut4<'_, T>,
        _state: &mut State<T>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        check(&self.name, "the output", y.shape(), flat(x.shape()))?;
        y.data_mut().copy_from_slice(x.data());
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, T>,
        dx: Option<ViewMut4<'_, T>>,
        _state: &mut State<T>,
    ) -> Result<(), NetError> {
        check_gradient(self, &gradient, dx.as_ref())?;
        if let Some(mut dx) = dx {
            dx.data_mut().copy_from_slice(gradient.dy.data());
        }
        Ok(())
    }
}
