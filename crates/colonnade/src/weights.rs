//! Weights as safetensors files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use net::Sequential;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::failure::Failure;
use crate::files::write_whole;

/// A tensor of a file.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Writes all parameters under their names, little-endian f32, with the model's name beside them.
///
/// The same weights give the same bytes.
pub(crate) fn save(net: &Sequential<f32>, model: &str, path: &Path) -> Result<(), Failure> {
    let tensors = net.parameters().map(|p| (p.name(), p.dims(), p.value().data()));
    write(tensors, ("model", model.to_owned()), path)
}

/// Writes tensors and one text with its key. One only: the order of several would change from run
/// to run.
pub(crate) fn write<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    (key, text): (&str, String),
    path: &Path,
) -> Result<(), Failure> {
    let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensors: Vec<(&str, &[usize], Vec<u8>)> =
        tensors.map(|(name, dims, values)| (name, dims, bytes(values))).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, dims, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, dims.to_vec(), bytes);
        views.push((*name, view.map_err(|e| bad(e.to_string()))?));
    }
    let texts = HashMap::from([(key.to_owned(), text)]);
    let file = safetensors::serialize(views, Some(texts)).map_err(|e| bad(e.to_string()))?;
    write_whole(path, &file)
}

/// The tensors of a file, and its texts.
pub(crate) fn read(path: &Path) -> Result<(Vec<Tensor>, HashMap<String, String>), Failure> {
    let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
    let bytes =
        fs::read(path).map_err(|source| Failure::NoFile { path: path.to_owned(), source })?;
    let damaged = |e| bad(format!("this is not a safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("{name} holds {:?}; only F32 can be read", view.dtype())));
        }
        let (values, _) = view.data().as_chunks::<4>();
        let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        tensors.push(Tensor { name: name.to_owned(), dims: view.shape().to_vec(), values });
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// Reads parameters into a network; all of them or none.
pub(crate) fn load(net: &mut Sequential<f32>, path: &Path) -> Result<(), Failure> {
    let (tensors, _) = read(path)?;
    let tensors = tensors.iter().map(|t| (t.name.as_str(), &t.dims[..], &t.values[..]));
    let bad = |message: String| Failure::Weights { path: path.to_owned(), message };
    net.load(tensors).map_err(|e| bad(e.to_string()))
}
