//! Weights as safetensors files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use net::Sequential;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::failure::Failure;
use crate::files::{failed, write_whole};

/// Writes all parameters under their names, little-endian f32, with the model's name beside them.
///
/// The same weights give the same bytes.
pub(crate) fn save(net: &Sequential<f32>, model: &str, path: &Path) -> Result<(), Failure> {
    let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
    let bytes: Vec<Vec<u8>> = net
        .parameters()
        .map(|p| p.value().data().iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let mut tensors = Vec::with_capacity(bytes.len());
    for (parameter, bytes) in net.parameters().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, parameter.dims().to_vec(), bytes)
            .map_err(|e| bad(e.to_string()))?;
        tensors.push((parameter.name(), view));
    }
    // One entry only: the order of several would change from run to run.
    let metadata = HashMap::from([("model".to_owned(), model.to_owned())]);
    let file = safetensors::serialize(tensors, Some(metadata)).map_err(|e| bad(e.to_string()))?;
    write_whole(path, &file)
}

/// Reads parameters into a network; all of them or none.
pub(crate) fn load(net: &mut Sequential<f32>, path: &Path) -> Result<(), Failure> {
    let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
    let file = fs::read(path).map_err(|e| failed("read the weights", path, e))?;
    let file = SafeTensors::deserialize(&file)
        .map_err(|e| bad(format!("this is not a safetensors file: {e}")))?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("{name} holds {:?}; only F32 can be read", view.dtype())));
        }
        let (values, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        tensors.push((name, view.shape().to_vec(), values));
    }
    let tensors = tensors.iter().map(|(name, dims, values)| (*name, &dims[..], &values[..]));
    net.load(tensors).map_err(|e| bad(e.to_string()))
}
