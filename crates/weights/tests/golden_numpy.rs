//! What NumPy wrote is read as NumPy has it, or refused by name.

use std::path::{Path, PathBuf};

use weights::{Tensor, WeightsError, npy, npz};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/numpy").join(name)
}

/// 0.5, 1.5, 2.5, …
fn counted(name: &str, dims: &[usize]) -> Tensor {
    let values = (0..dims.iter().product()).map(|i: usize| i as f32 + 0.5).collect();
    Tensor::new(name, dims.to_vec(), values).expect("as many values as the shape has")
}

#[test]
fn arrays_of_all_versions_and_orders() {
    for (name, dims) in [
        ("c", &[3, 4][..]),
        ("fortran", &[2, 3, 2, 2]),
        ("half", &[5]),
        ("scalar", &[]),
        ("vector", &[3]),
        ("empty", &[0, 3]),
        ("version2", &[3, 4]),
        ("version3", &[3, 4]),
    ] {
        let path = testdata(&format!("{name}.npy"));
        assert_eq!(npy::load(&path).unwrap(), counted(name, dims), "{name}");
        let contents = weights::read(&path).unwrap();
        assert_eq!(contents.tensors, [counted(name, dims)], "{name}");
    }
}

#[test]
fn archives_stored_and_deflated() {
    let expected = [
        counted("conv1.weight", &[2, 1, 2, 2]),
        counted("conv1.bias", &[2, 3]),
        counted("n/x", &[3]),
    ];
    for name in ["stored.npz", "deflated.npz"] {
        assert_eq!(npz::load(testdata(name)).unwrap(), expected, "{name}");
        assert_eq!(weights::read(testdata(name)).unwrap().tensors, expected, "{name}");
    }
}

#[test]
fn other_types_are_refused_by_name() {
    for (name, expected) in
        [("f8", "<f8"), ("big_endian", ">f4"), ("i4", "<i4"), ("u1", "|u1"), ("records", "records")]
    {
        let error = npy::load(testdata(&format!("refused_{name}.npy"))).unwrap_err();
        assert!(
            matches!(&error, WeightsError::Dtype { dtype, .. } if dtype == expected),
            "{name}: {error}"
        );
    }
    let error = npy::load(testdata("refused_objects.npy")).unwrap_err();
    assert!(matches!(error, WeightsError::Pickle { .. }), "{error}");
    let error = npz::load(testdata("refused_objects.npz")).unwrap_err();
    assert!(matches!(&error, WeightsError::Pickle { name, .. } if name == "x"), "{error}");
    assert!(error.to_string().contains("np.savez"), "{error}");
}

/// The header is the one that NumPy writes, to the byte.
#[test]
fn arrays_are_written_as_numpy_writes_them() {
    for name in ["c", "scalar", "vector", "empty"] {
        let path = testdata(&format!("{name}.npy"));
        let bytes = npy::to_bytes(npy::load(&path).unwrap().parts()).unwrap();
        assert_eq!(bytes, std::fs::read(path).unwrap(), "{name}");
    }
}
