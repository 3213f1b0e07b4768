//! The weights of a network in files.

use std::path::Path;

use net::Sequential;
use net::models::Model;
use weights::torchvision::{self, Network};
use weights::{Contents, Tensor, WeightsError};

use crate::failure::Failure;

/// Writes all parameters under their names, little-endian f32, with the model's name beside them.
///
/// The same weights give the same bytes.
pub(crate) fn save(net: &Sequential<f32>, model: &str, path: &Path) -> Result<(), Failure> {
    let tensors = net.parameters().map(|p| (p.name(), p.dims(), p.value().data()));
    Ok(weights::safetensors::save(path, tensors, [("model", model)])?)
}

/// The contents of a file; that there is none says how to get one.
pub(crate) fn read(path: &Path) -> Result<Contents, Failure> {
    weights::read(path).map_err(|error| match error {
        WeightsError::Io { path, source, .. } => Failure::NoFile { path, source },
        other => other.into(),
    })
}

/// Reads parameters into a network; all of them or none. They may have torchvision's names, if
/// torchvision has the network.
pub(crate) fn load(net: &mut Sequential<f32>, model: &str, path: &Path) -> Result<(), Failure> {
    let mut tensors = read(path)?.tensors;
    let torchvision = torchvision::is_state_dict(&tensors);
    let network = Network::of_model(model);
    if let (true, Some(network)) = (torchvision, network) {
        network.rename(&mut tensors);
    }
    net.load(tensors.iter().map(Tensor::parts)).map_err(|error| {
        let hint = match (torchvision, network) {
            (true, None) => hint(),
            _ => String::new(),
        };
        Failure::Weights { path: path.to_owned(), message: format!("{error}{hint}") }
    })
}

/// How many numbers all tensors of a file hold.
pub(crate) fn numbers(path: &Path) -> Result<usize, Failure> {
    let tensors = read(path)?.tensors;
    Ok(tensors.iter().map(|tensor| tensor.values.len()).sum())
}

/// What to do with a state dict of torchvision that is not for this network.
fn hint() -> String {
    let known = Model::ALL.iter().map(|model| model.name());
    let known: Vec<_> = known.filter(|name| Network::of_model(name).is_some()).collect();
    format!("; these are names of torchvision, whose networks are {}", known.join(", "))
}
