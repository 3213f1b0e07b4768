//! Conversions from and to `ndarray::Array4`.
#![cfg(feature = "ndarray")]

use ndarray::{Array4, s};
use tensor4::{Shape4, Tensor4, TensorError};

fn array() -> Array4<f32> {
    Array4::from_shape_fn((2, 3, 4, 5), |(n, c, h, w)| (1000 * n + 100 * c + 10 * h + w) as f32)
}

/// The tensor has the array's shape and the array's elements at the same indices.
#[track_caller]
fn assert_same(tensor: &Tensor4<f32>, array: &Array4<f32>) {
    let (n, c, h, w) = array.dim();
    assert_eq!(tensor.dims(), [n, c, h, w]);
    for (index, &x) in array.indexed_iter() {
        assert_eq!(tensor[index], x, "{index:?}");
    }
}

#[test]
fn there_and_back_without_a_copy() -> Result<(), TensorError> {
    let array = array();
    let expected = array.clone();
    let at = array.as_ptr();
    let tensor = Tensor4::try_from(array)?;
    assert_same(&tensor, &expected);
    assert_eq!(tensor.data().as_ptr(), at);
    let back = Array4::from(tensor);
    assert_eq!((back.as_ptr(), &back), (at, &expected));
    Ok(())
}

#[test]
fn other_layouts_are_brought_into_order() -> Result<(), TensorError> {
    let nhwc = array().permuted_axes([0, 2, 3, 1]);
    assert_same(&Tensor4::try_from(nhwc.clone())?, &nhwc);
    let mut reversed = array();
    reversed.invert_axis(ndarray::Axis(3));
    assert_same(&Tensor4::try_from(reversed.clone())?, &reversed);
    // Slices of a larger buffer: one that is contiguous and one that is not.
    for part in
        [array().slice_move(s![1.., .., .., ..]), array().slice_move(s![.., 1..2, 1..3, ..])]
    {
        assert_same(&Tensor4::try_from(part.clone())?, &part);
        assert_same(
            &Tensor4::try_from(part.clone().slice_move(s![.., .., 1.., ..]))?,
            &part.slice_move(s![.., .., 1.., ..]),
        );
    }
    let empty = Tensor4::try_from(Array4::<f32>::zeros((2, 0, 3, 3)))?;
    assert_eq!(empty.shape(), Shape4::new(2, 0, 3, 3)?);
    assert_eq!(Array4::from(empty).dim(), (2, 0, 3, 3));
    Ok(())
}
