//! Loads the weights of a PyTorch network, and computes what PyTorch computes.
//!
//! A state dict that `safetensors.torch.save_file` wrote holds tensors in the layout of this crate;
//! only their names tell of PyTorch's modules (`features.0.weight`), and are given new ones here. The
//! network and its answer for three images come from `testdata/torch/state_dict`.
//!
//!     cargo run -p net --example load_pytorch

use std::error::Error;
use std::path::Path;

use im2col::Window;
use net::{Sequential, layers};
use safetensors::{Dtype, SafeTensors};
use tensor4::{Shape4, Tensor4};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/torch/state_dict");

/// The names of PyTorch's modules, and those of the layers that they become.
const NAMES: [(&str, &str); 4] = [
    ("features.0", "conv1"),
    ("features.1", "bn1"),
    ("classifier.1", "affine1"),
    ("classifier.3", "affine2"),
];

/// The name of a parameter here; `None` for what is of no use here.
fn renamed(name: &str) -> Option<String> {
    let (module, parameter) = name.rsplit_once('.')?;
    let (_, layer) = NAMES.iter().find(|(torch, _)| *torch == module)?;
    // How many batches PyTorch has seen: it is not needed where the momentum is constant.
    (parameter != "num_batches_tracked").then(|| format!("{layer}.{parameter}"))
}

/// The values of a tensor of 32-bit numbers.
fn values(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let tensor = tensors.tensor(name)?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("{name} holds {:?}, not F32", tensor.dtype()).into());
    }
    let (values, _) = tensor.data().as_chunks::<4>();
    Ok(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut net = Sequential::<f32>::builder(1, 12, 12)
        .add(layers::conv2d(4, Window::square(3).pad(1)))
        .add(layers::batch_norm2d())
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(12))
        .add(layers::relu())
        .add(layers::affine(5))
        .build(0)?;

    let file = std::fs::read(Path::new(FOLDER).join("model.safetensors"))?;
    let state_dict = SafeTensors::deserialize(&file)?;
    let mut names = state_dict.names();
    names.sort_unstable();
    let mut parameters = Vec::new();
    for torch in names {
        let Some(name) = renamed(torch) else { continue };
        let dims = state_dict.tensor(torch)?.shape().to_vec();
        println!("{torch:28} -> {name:20} {dims:?}");
        parameters.push((name, dims, values(&state_dict, torch)?));
    }
    // An error if one is missing, left over or of another shape: nothing is loaded then.
    net.load(parameters.iter().map(|(name, dims, values)| (&**name, &**dims, &**values)))?;

    let file = std::fs::read(Path::new(FOLDER).join("answer.safetensors"))?;
    let answer = SafeTensors::deserialize(&file)?;
    let x = Tensor4::from_vec(Shape4::new(3, 1, 12, 12)?, values(&answer, "x")?)?;
    let expected = values(&answer, "y")?;
    let y = net.predict(x.view())?;
    println!("\nThe answer for three images: {y}");
    let differences = y.data().iter().zip(&expected).map(|(y, expected)| (y - expected).abs());
    let error = differences.fold(0.0, f32::max);
    println!("PyTorch's differs by at most {error:.1e}");
    assert_eq!(y.len(), expected.len());
    assert!(error < 1e-5);
    Ok(())
}
