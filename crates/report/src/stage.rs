//! Which layers of a network are worth a picture.

use net::{Layer, NetScalar, Sequential};

use crate::ReportError;

/// Layers that change the same numbers one after the other: one that is shown, and what is done
/// to its output in place (ReLU, batch normalisation, dropout).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The first layer.
    pub first: usize,
    /// The last layer; its output is what the stage gives.
    pub last: usize,
    /// The names of the layers, such as `conv1 → relu1`.
    pub name: String,
    /// Whether the first layer has filters or a matrix: units that learn to look for something.
    pub learns: bool,
}

/// Whether a layer has weights of its own that combine its inputs: a convolution or an affine
/// layer, not a coefficient per channel.
pub(crate) fn learns<T: NetScalar>(layer: &dyn Layer<T>) -> bool {
    layer.parameters().iter().any(|parameter| parameter.dims().len() >= 2)
}

/// The stages of a network, from input to output. A new one begins where a layer has weights or
/// changes the shape.
///
/// # Errors
///
/// None for a network that was built.
pub fn stages<T: NetScalar>(net: &Sequential<T>) -> Result<Vec<Stage>, ReportError> {
    let mut stages: Vec<Stage> = Vec::new();
    let mut shape = net.input_shape();
    for (i, layer) in net.layers().iter().enumerate() {
        let (input, learns) = (shape, learns(layer.as_ref()));
        shape = layer.output_shape(input)?;
        match stages.last_mut() {
            Some(stage) if !learns && shape == input => {
                stage.last = i;
                stage.name += " → ";
                stage.name += layer.name();
            }
            _ => stages.push(Stage { first: i, last: i, name: layer.name().to_owned(), learns }),
        }
    }
    Ok(stages)
}

/// The layers whose units learn to look for something, by their place in the network; all of
/// them, or those named.
///
/// # Errors
///
/// [`ReportError::NoLayer`] if a name is not among them.
pub fn learning_layers<T: NetScalar>(
    net: &Sequential<T>,
    names: &[String],
) -> Result<Vec<usize>, ReportError> {
    let all: Vec<usize> =
        (0..net.layers().len()).filter(|&i| learns(net.layers()[i].as_ref())).collect();
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|&&i| net.layers()[i].name() == name);
        found.copied().ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|&i| net.layers()[i].name()).collect();
            ReportError::NoLayer { name: name.clone(), known: known.join(", ") }
        })
    };
    let mut layers = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    layers.sort_unstable();
    layers.dedup();
    Ok(layers)
}
