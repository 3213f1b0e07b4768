//! Where a number first stopped being one.

use std::fmt;

use tensor4::View4;

use crate::{Layer, Mode, NetError, NetScalar, Sequential, Tape};

/// Where, on the way through a network, a number was first infinite or not a number.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum NonFinite {
    /// In the images themselves.
    Images {
        /// The first such value.
        value: f64,
    },
    /// In the output of a layer, all outputs before it being finite.
    Layer {
        /// The name of the layer.
        layer: String,
        /// The first such value of its output.
        value: f64,
        /// The first of its parameters that holds such a value itself, as `conv2.weight`.
        parameter: Option<String>,
    },
    /// In the loss alone: every output of the network is finite.
    Loss,
}

/// A clause that says where.
impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images { value } => write!(f, "the images hold {value}"),
            Self::Layer { layer, value, parameter } => {
                write!(f, "layer {layer} was the first to give {value}")?;
                parameter.iter().try_for_each(|name| write!(f, ", and its {name} is not finite"))
            }
            Self::Loss => write!(f, "all outputs of the network are finite"),
        }
    }
}

impl NonFinite {
    /// What may help whoever trains.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Images { .. } => "look at the data and how it is normalised",
            Self::Layer { .. } | Self::Loss => {
                "training has diverged; a smaller learning rate may help"
            }
        }
    }
}

impl<T: NetScalar> Sequential<T> {
    /// Where a forward pass over these images first gives a number that is not finite, or `None` if
    /// it gives none.
    ///
    /// Runs the pass once more and keeps the output of every layer: with the `mode` of a pass that
    /// went before, it is that pass, bit for bit.
    ///
    /// # Errors
    ///
    /// [`NetError::Shape`] if the images are not of the shape that the network takes.
    pub fn find_non_finite(
        &self,
        x: View4<'_, T>,
        mode: Mode,
    ) -> Result<Option<NonFinite>, NetError> {
        if let Some(value) = first_non_finite(x.data()) {
            return Ok(Some(NonFinite::Images { value }));
        }
        let mut tape = Tape::recording();
        self.forward(x, &mut tape, mode)?;
        for (index, layer) in self.layers().iter().enumerate() {
            let output = tape.output(index).expect("the tape records every output");
            if let Some(value) = first_non_finite(output.data()) {
                let parameter = parameter_of(layer.as_ref());
                return Ok(Some(NonFinite::Layer { layer: layer.name().into(), value, parameter }));
            }
        }
        Ok(None)
    }
}

/// The first parameter of a layer that holds a value that is not finite.
fn parameter_of<T: NetScalar>(layer: &dyn Layer<T>) -> Option<String> {
    let mut parameters = layer.parameters().iter();
    let bad = parameters.find(|p| first_non_finite(p.value().data()).is_some())?;
    Some(bad.name().to_owned())
}

/// The first value that is infinite or not a number.
pub(crate) fn first_non_finite<T: NetScalar>(values: &[T]) -> Option<f64> {
    values.iter().find(|value| !value.is_finite()).map(|value| value.to_f64())
}
