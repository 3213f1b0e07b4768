//! Which layers run in one pass.

use crate::{Layer, NetScalar};

/// What a layer does to its input, as far as the layer before could do it in its own pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Role {
    /// Nothing that another layer could do.
    #[default]
    Other,
    /// `max(x, 0)` of each element.
    Relu,
    /// The greatest of each 2x2 pixels; an odd last row or column is dropped.
    MaxPool2x2,
}

/// What a layer computes in its own pass beside its own function: the layers behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tail {
    /// None.
    #[default]
    Nothing,
    /// A ReLU.
    Relu,
    /// A ReLU and a pool of [2x2 pixels](Role::MaxPool2x2).
    ReluMaxPool,
}

impl Tail {
    const LONGEST_FIRST: [Self; 2] = [Self::ReluMaxPool, Self::Relu];

    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Nothing => &[],
            Self::Relu => &[Role::Relu],
            Self::ReluMaxPool => &[Role::Relu, Role::MaxPool2x2],
        }
    }

    /// How many layers that are.
    #[must_use]
    pub const fn layers(self) -> usize {
        self.roles().len()
    }

    /// The longest tail that a layer takes over from those behind it.
    pub(crate) fn behind<T: NetScalar>(layer: &dyn Layer<T>, rest: &[Box<dyn Layer<T>>]) -> Self {
        let follows = |tail: &Self| {
            let roles = tail.roles();
            roles.len() <= rest.len()
                && roles.iter().zip(rest).all(|(&role, layer)| layer.role() == role)
        };
        let mut tails = Self::LONGEST_FIRST.into_iter();
        tails.find(|tail| follows(tail) && layer.fuses(*tail)).unwrap_or_default()
    }
}

/// What a backward pass reads of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// The elements of the input.
    pub x: bool,
    /// The elements of the output.
    pub y: bool,
}

impl Reads {
    /// Input and output.
    pub const BOTH: Self = Self { x: true, y: true };
    /// The input.
    pub const X: Self = Self { x: true, y: false };
    /// The output.
    pub const Y: Self = Self { x: false, y: true };
    /// Neither.
    pub const NEITHER: Self = Self { x: false, y: false };
}
