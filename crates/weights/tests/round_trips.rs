//! What is written is read again, by this crate and by others.

use proptest::collection::vec;
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use weights::{Tensor, TensorParts, WeightsError, npy, npz, read_bytes, safetensors as ours};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A few tensors of any values, NaN and subnormals too, with names of any characters.
fn tensors(name: &'static str) -> impl Strategy<Value = Vec<Tensor>> {
    let tensor = (name, vec(0_usize..4, 0..5)).prop_flat_map(|(name, dims)| {
        let count = dims.iter().product::<usize>();
        vec(any::<u32>(), count).prop_map(move |bits| {
            let values = bits.into_iter().map(f32::from_bits).collect();
            Tensor::new(name.clone(), dims.clone(), values).expect("as many as the shape has")
        })
    });
    vec(tensor, 0..6).prop_map(|mut tensors| {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors.dedup_by(|a, b| a.name == b.name);
        tensors
    })
}

fn assert_same(read: &[Tensor], written: &[Tensor]) {
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(written) {
        assert_eq!((&read.name, &read.dims), (&written.name, &written.dims));
        assert_eq!(bits(&read.values), bits(&written.values));
    }
}

/// What the crate of the format's authors reads.
fn theirs(bytes: &[u8]) -> Vec<Tensor> {
    let file = SafeTensors::deserialize(bytes).expect("they read it too");
    let tensor = |(name, view): (&str, TensorView<'_>)| {
        assert_eq!(view.dtype(), Dtype::F32);
        let values = view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b));
        Tensor::new(name, view.shape().to_vec(), values.collect()).expect("a whole tensor")
    };
    let mut tensors: Vec<Tensor> = file.iter().map(tensor).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

proptest! {
    #[test]
    fn safetensors_by_us_and_by_its_authors(tensors in tensors("\\PC{1,12}"), text in any::<String>()) {
        let parts = || tensors.iter().map(Tensor::parts);
        let mut bytes = ours::to_bytes(parts(), [("key", text.as_str()), ("b", "c")]).unwrap();
        let read = ours::read(&bytes, "x").unwrap();
        prop_assert_eq!(&read.texts["key"], &text);
        prop_assert_eq!(read.texts.len(), 2);
        let mut sorted = read.tensors;
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_same(&sorted, &tensors);
        assert_same(&theirs(&bytes), &tensors);
        prop_assert_eq!(&bytes, &ours::to_bytes(parts(), [("b", "c"), ("key", text.as_str())]).unwrap());

        // And what they write.
        let data: Vec<Vec<u8>> =
            tensors.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&data).map(|(tensor, data)| {
            (&tensor.name, TensorView::new(Dtype::F32, tensor.dims.clone(), data).unwrap())
        });
        bytes = safetensors::serialize(views, None).unwrap();
        let mut sorted = ours::read(&bytes, "x").unwrap().tensors;
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_same(&sorted, &tensors);
    }

    /// Whatever becomes of a file: what is read here, its authors read as well, and the same.
    #[test]
    fn damaged_safetensors_are_read_by_both_or_by_the_other(
        tensors in tensors("[ab]"),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = ours::to_bytes(tensors.iter().map(Tensor::parts), []).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = ours::read(&bytes, "x") {
            let file = SafeTensors::deserialize(&bytes).expect("they read what we read");
            prop_assert_eq!(file.len(), read.tensors.len());
            for tensor in &read.tensors {
                let theirs = file.tensor(&tensor.name).unwrap();
                prop_assert_eq!(theirs.shape(), tensor.dims.as_slice());
            }
        }
    }

    #[test]
    fn npz_and_npy(tensors in tensors("[a-z0-9_.é-]{1,9}")) {
        let written: Vec<Tensor> =
            tensors.into_iter().filter(|tensor| !matches!(&*tensor.name, "." | "..")).collect();
        let bytes = npz::to_bytes(written.iter().map(Tensor::parts)).unwrap();
        assert_same(&npz::read(&bytes, "x").unwrap(), &written);
        for tensor in &written {
            let bytes = npy::to_bytes(tensor.parts()).unwrap();
            let read = npy::read(&bytes, &tensor.name).unwrap();
            assert_same(&[read], std::slice::from_ref(tensor));
        }
    }
}

#[test]
fn sixteen_bit_floats_are_widened() {
    let read = |dtype: &str, bits: [u16; 3]| {
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,6]}}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(bits.iter().flat_map(|bits| bits.to_le_bytes()));
        read_bytes(&bytes, "x").unwrap().tensors[0].values.clone()
    };
    assert_eq!(read("F16", [0x3c00, 0xc100, 0x0001]), [1.0, -2.5, 2.0_f32.powi(-24)]);
    assert_eq!(read("BF16", [0x3f80, 0xc020, 0x7f80]), [1.0, -2.5, f32::INFINITY]);
}

#[test]
fn what_cannot_be_read_again_is_not_written() {
    let refused = |result: Result<Vec<u8>, WeightsError>, part: &str| {
        let error = result.expect_err(part);
        assert!(matches!(error, WeightsError::Unwritable { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let short: TensorParts<'_> = ("a", &[2], &[1.0]);
    let wrapped: TensorParts<'_> = ("a", &[usize::MAX, 2], &[1.0]);
    let deep: TensorParts<'_> = ("a", &[1; 9], &[1.0]);
    for (tensor, part) in
        [(short, "1 values for the shape [2]"), (wrapped, "values"), (deep, "9 dim")]
    {
        refused(ours::to_bytes([tensor], []), part);
        refused(npz::to_bytes([tensor]), part);
        refused(npy::to_bytes(tensor), part);
    }
    let good: TensorParts<'_> = ("a", &[1], &[1.0]);
    refused(ours::to_bytes([good, good], []), "the name is taken");
    refused(npz::to_bytes([good, good]), "the name is taken");
    refused(ours::to_bytes([("__metadata__", &[][..], &[1.0][..])], []), "the name is taken");
    for name in ["../a", "/a", "a/", "a\\b", ""] {
        refused(npz::to_bytes([(name, &[1][..], &[1.0][..])]), "can't be that of a member");
    }
}
