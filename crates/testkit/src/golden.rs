//! Golden files: what PyTorch computes, to be compared with what we do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use tensor4::{Shape4, Tensor4};

/// Where the golden files stand.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/torch");

/// One golden file: named tensors of `f64`, made by PyTorch.
///
/// The README beside the files says what each of them holds. A tensor's name is `CASE.WHAT`
/// (`c03.dx`), or `WHAT` alone in a file of one case.
///
/// This serves tests: whatever is missing or not as asked for is a panic that says so.
///
/// ```
/// use testkit::Golden;
///
/// let golden = Golden::load("conv2d");
/// for case in golden.cases() {
///     let x = golden.tensor(&format!("{case}.x"));
///     let geom = golden.labels(&format!("{case}.geom"));
///     assert_eq!(geom.len(), 9, "{case}: x {}", x.shape());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Golden {
    file: String,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    dims: Vec<usize>,
    values: Vec<f64>,
}

impl Golden {
    /// Reads `testdata/torch/NAME.safetensors`.
    ///
    /// # Panics
    ///
    /// If there is no such file, or it is not a safetensors file of F64 and I64 tensors of at most
    /// four dimensions.
    #[must_use]
    #[track_caller]
    pub fn load(name: &str) -> Self {
        let file = format!("{name}.safetensors");
        match fs::read(Path::new(FOLDER).join(&file)) {
            Ok(bytes) => Self::parse(file, &bytes),
            Err(e) => panic!(
                "testdata/torch/{file}: {e}; there are {}; make_golden.py makes them",
                list(&golden_files()),
            ),
        }
    }

    /// The golden file whose content is `bytes`.
    #[track_caller]
    fn parse(file: String, bytes: &[u8]) -> Self {
        let content = match SafeTensors::deserialize(bytes) {
            Ok(content) => content,
            Err(e) => panic!("{file}: not a safetensors file: {e}"),
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in content.iter() {
            let dims = view.shape().to_vec();
            assert!(dims.len() <= 4, "{file}: {name} has {} dimensions, at most 4 fit", dims.len());
            // The format is little-endian. A label or a size is far below 2^53, so that no I64
            // loses anything on its way to f64.
            let values = match view.dtype() {
                Dtype::F64 => words(view.data()).map(f64::from_le_bytes).collect(),
                Dtype::I64 => words(view.data()).map(|w| i64::from_le_bytes(w) as f64).collect(),
                other => panic!("{file}: {name} is of type {other:?}, expected F64 or I64"),
            };
            tensors.insert(name.to_owned(), Entry { dims, values });
        }
        Self { file, tensors }
    }

    /// The cases of the file: what stands before the first dot of a name, each once, sorted. Names
    /// without a dot belong to no case.
    #[must_use]
    pub fn cases(&self) -> Vec<String> {
        let cases = self.tensors.keys().filter_map(|name| name.split_once('.'));
        let cases: BTreeSet<&str> = cases.map(|(case, _)| case).collect();
        cases.into_iter().map(str::to_owned).collect()
    }

    /// The tensor `name`, with its dimensions in order and ones for those that it lacks:
    /// `(n, c, h, w)` of four, `(a, b, c, 1)` of three, the matrix `(r, c, 1, 1)` of two,
    /// `(len, 1, 1, 1)` of one, `(1, 1, 1, 1)` of none.
    ///
    /// # Panics
    ///
    /// If there is no such tensor.
    #[must_use]
    #[track_caller]
    pub fn tensor(&self, name: &str) -> Tensor4<f64> {
        let Entry { dims, values } = self.entry(name);
        let mut sizes = [1; 4];
        sizes[..dims.len()].copy_from_slice(dims);
        let [n, c, h, w] = sizes;
        Shape4::new(n, c, h, w)
            .and_then(|shape| Tensor4::from_vec(shape, values.clone()))
            .expect("safetensors checked the shape against the data")
    }

    /// The elements of the tensor `name`, the last index running fastest.
    ///
    /// # Panics
    ///
    /// If there is no such tensor.
    #[must_use]
    #[track_caller]
    pub fn values(&self, name: &str) -> Vec<f64> {
        self.entry(name).values.clone()
    }

    /// The only element of the tensor `name`.
    ///
    /// # Panics
    ///
    /// If there is no such tensor, or if it does not have exactly one element.
    #[must_use]
    #[track_caller]
    pub fn scalar(&self, name: &str) -> f64 {
        let Entry { dims, values } = self.entry(name);
        let [value] = values[..] else {
            panic!("{}: {name} is no scalar, its dimensions are {dims:?}", self.file)
        };
        value
    }

    /// The elements of the tensor `name` as whole numbers: labels, or the sizes of a geometry.
    ///
    /// # Panics
    ///
    /// If there is no such tensor, or if an element is negative or not whole.
    #[must_use]
    #[track_caller]
    pub fn labels(&self, name: &str) -> Vec<usize> {
        let values = &self.entry(name).values;
        let mut labels = Vec::with_capacity(values.len());
        for &value in values {
            let label = value as usize;
            assert!(label as f64 == value, "{}: {name} holds {value}, no whole number", self.file);
            labels.push(label);
        }
        labels
    }

    /// The dimensions of the tensor `name` as the file has them, none to four.
    ///
    /// # Panics
    ///
    /// If there is no such tensor.
    #[must_use]
    #[track_caller]
    pub fn dims(&self, name: &str) -> Vec<usize> {
        self.entry(name).dims.clone()
    }

    #[track_caller]
    fn entry(&self, name: &str) -> &Entry {
        self.tensors.get(name).unwrap_or_else(|| {
            let case = name.split_once('.').map_or("", |(case, _)| case);
            let alike: Vec<_> = self.tensors.keys().filter(|n| n.starts_with(case)).collect();
            if alike.is_empty() {
                panic!("{}: no tensor {name}; its cases are {}", self.file, list(&self.cases()));
            }
            panic!("{}: no tensor {name}, but {}", self.file, list(&alike));
        })
    }
}

/// The eight-byte words of `data`.
fn words(data: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    data.as_chunks::<8>().0.iter().copied()
}

/// The names of the golden files that there are, sorted, without their extension.
fn golden_files() -> Vec<String> {
    let names = fs::read_dir(FOLDER).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".safetensors").map(str::to_owned)
    });
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

/// `a, b, c`, or `none`.
fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use safetensors::serialize;
    use safetensors::tensor::TensorView;

    use super::*;

    /// A file of the given tensors, written by the safetensors crate.
    fn golden(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Golden {
        let views = tensors.iter().map(|&(name, dtype, dims, data)| {
            (name, TensorView::new(dtype, dims.to_vec(), data).expect("the data fit the shape"))
        });
        let bytes = serialize(views, None).expect("a few small tensors");
        Golden::parse("test.safetensors".to_owned(), &bytes)
    }

    fn bytes(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn tensors_of_every_rank_and_type() {
        let six = bytes(&[1.0, -2.0, 0.1, 4.0, 1e300, f64::MIN_POSITIVE]);
        let ids: Vec<u8> = [7_i64, 0, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
        let g = golden(&[
            ("b.four", Dtype::F64, &[1, 3, 2, 1], &six),
            ("b.three", Dtype::F64, &[1, 2, 3], &six),
            ("a.two.x", Dtype::F64, &[2, 3], &six),
            ("a.one", Dtype::F64, &[6], &six),
            ("none", Dtype::F64, &[], &six[..8]),
            ("empty", Dtype::F64, &[0, 3], &[]),
            ("ids", Dtype::I64, &[3], &ids),
        ]);
        for (name, dims, shape) in [
            ("b.four", vec![1, 3, 2, 1], [1, 3, 2, 1]),
            ("b.three", vec![1, 2, 3], [1, 2, 3, 1]),
            ("a.two.x", vec![2, 3], [2, 3, 1, 1]),
            ("a.one", vec![6], [6, 1, 1, 1]),
            ("none", vec![], [1, 1, 1, 1]),
            ("empty", vec![0, 3], [0, 3, 1, 1]),
            ("ids", vec![3], [3, 1, 1, 1]),
        ] {
            assert_eq!((g.dims(name), g.tensor(name).dims()), (dims, shape), "{name}");
            assert_eq!(g.tensor(name).data(), g.values(name), "{name}");
        }
        assert_eq!(g.values("a.two.x"), [1.0, -2.0, 0.1, 4.0, 1e300, f64::MIN_POSITIVE]);
        assert_eq!(g.scalar("none"), 1.0);
        assert_eq!(g.labels("ids"), [7, 0, 3]);
        assert_eq!(g.cases(), ["a", "b"]);
    }

    #[test]
    #[should_panic(expected = "x holds -1, no whole number")]
    fn a_negative_number_is_no_label() {
        let _ = golden(&[("x", Dtype::F64, &[2], &bytes(&[1.0, -1.0]))]).labels("x");
    }

    #[test]
    #[should_panic(expected = "x is no scalar, its dimensions are [2]")]
    fn two_numbers_are_no_scalar() {
        let _ = golden(&[("x", Dtype::F64, &[2], &bytes(&[1.0, 2.0]))]).scalar("x");
    }

    #[test]
    #[should_panic(expected = "x is of type F32, expected F64 or I64")]
    fn single_precision_is_refused() {
        let _ = golden(&[("x", Dtype::F32, &[1], &[0; 4])]);
    }

    #[test]
    #[should_panic(expected = "no tensor a.z, but a.x, a.y")]
    fn a_missing_tensor_names_the_others_of_its_case() {
        let x = bytes(&[1.0]);
        let g = golden(&[
            ("a.x", Dtype::F64, &[1], &x),
            ("a.y", Dtype::F64, &[1], &x),
            ("b.z", Dtype::F64, &[1], &x),
        ]);
        let _ = g.values("a.z");
    }

    #[test]
    #[should_panic(expected = "conv3d.safetensors: ")]
    fn a_missing_file_names_those_that_there_are() {
        let _ = Golden::load("conv3d");
    }

    #[test]
    fn every_golden_file_can_be_read_and_is_finite() {
        let files = golden_files();
        for name in ["activations", "affine", "conv2d", "loss", "optim", "pool", "simple_convnet"] {
            assert!(files.iter().any(|file| file == name), "{name} is not among {files:?}");
        }
        for file in files {
            let golden = Golden::load(&file);
            assert!(!golden.tensors.is_empty(), "{file}");
            for (name, entry) in &golden.tensors {
                assert!(!entry.values.is_empty(), "{file}: {name}");
                assert!(entry.values.iter().all(|v| v.is_finite()), "{file}: {name}");
            }
        }
    }

    /// The simplest layer, element by element: the numbers stand where the names say.
    #[test]
    fn relu_is_as_pytorch_has_it() {
        let g = Golden::load("activations");
        assert!(g.cases().iter().any(|case| case == "relu"), "relu is among {:?}", g.cases());
        assert_eq!(g.dims("relu.x"), [2, 3, 4, 5]);
        let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|what| g.values(&format!("relu.{what}")));
        assert!(x.contains(&0.0), "x = 0 is the case that matters");
        for i in 0..x.len() {
            let expected = if x[i] > 0.0 { (x[i], dy[i]) } else { (0.0, 0.0) };
            assert_eq!((y[i], dx[i]), expected, "x = {}", x[i]);
        }
    }
}
