//! What an image set refuses, and that refusing leaves the caller's buffers alone.

use dataset::{DatasetError, ImageSet};
use tensor4::{Shape4, Tensor4};

/// Three images of 1 x 2 pixels.
fn set() -> ImageSet {
    ImageSet::new(vec![0, 1, 2, 253, 254, 255], [1, 1, 2], vec![0, 2, 1], 3).expect("it fits")
}

#[test]
fn constructors_check_what_they_are_given() {
    let error = ImageSet::new(vec![0; 5], [1, 1, 2], vec![0; 3], 3).expect_err("5 of 6");
    assert_eq!(
        error.to_string(),
        "ImageSet::new: 3 images of shape [1, 1, 2] need 6 pixels, the buffer has 5"
    );
    let error = ImageSet::new(vec![0; 2], [1, 1, 1], vec![2, 3], 3).expect_err("3 of 3");
    assert!(
        matches!(error, DatasetError::LabelRange { index: 1, label: 3, classes: 3, .. }),
        "{error:?}"
    );
    let error = ImageSet::new(vec![], [1, usize::MAX, 2], vec![], 3).expect_err("overflow");
    assert!(matches!(error, DatasetError::Tensor(_)), "{error:?}");
    let error = ImageSet::new(vec![], [1, 1, 1], vec![], 257).expect_err("257 classes");
    assert!(matches!(error, DatasetError::ClassCount { classes: 257, max: 256 }), "{error:?}");
}

#[test]
fn gather_refuses_what_does_not_fit_and_writes_nothing() -> Result<(), DatasetError> {
    let set = set();
    let expected = Shape4::new(2, 1, 1, 2)?;
    for (shape, room, indices) in [
        (expected, 2, [0, 3]),
        (expected, 2, [usize::MAX, 0]),
        (expected, 1, [0, 1]),
        (expected, 3, [0, 1]),
        (Shape4::new(1, 1, 1, 2)?, 2, [0, 1]),
        // As many elements in another shape.
        (Shape4::new(2, 1, 2, 1)?, 2, [0, 1]),
        (Shape4::new(2, 2, 1, 1)?, 2, [0, 1]),
    ] {
        let mut out = Tensor4::from_fn(shape, |_, _, _, _| -1.0_f32);
        let before = out.clone();
        let mut labels = vec![7; room];
        let error = set.gather_into(&indices, out.view_mut(), &mut labels).expect_err("no fit");
        match error {
            DatasetError::IndexRange { position, index, len: 3 } => {
                assert!(indices[position] == index && index >= 3);
            }
            DatasetError::LabelsLength { expected: 2, actual } => {
                assert!(actual == room && room != 2);
            }
            DatasetError::OutputShape { expected: batch, actual } => {
                assert!(batch == expected && actual == shape && shape != expected);
            }
            error => panic!("{error:?}"),
        }
        assert_eq!(out, before);
        assert_eq!(labels, vec![7; room]);
    }
    let error = set.gather(&[0, 3]).expect_err("3 of 3");
    assert_eq!(
        error.to_string(),
        "gather: index 3, at position 1, is not within a set of 3 images"
    );
    Ok(())
}

#[test]
fn every_pixel_value_is_divided_exactly() -> Result<(), DatasetError> {
    let set = ImageSet::new((0..=255).collect(), [1, 16, 16], vec![0], 1)?;
    let (x, _) = set.gather(&[0])?;
    for (value, &x) in x.data().iter().enumerate() {
        assert_eq!(x.to_bits(), (value as f32 / 255.0).to_bits(), "{value}");
    }
    assert_eq!((x.data()[0], x.data()[255]), (0.0, 1.0));
    Ok(())
}

#[test]
fn an_empty_set_and_images_without_pixels_are_legal() -> Result<(), DatasetError> {
    let none = ImageSet::new(vec![], [1, 28, 28], vec![], 10)?;
    assert!(none.is_empty());
    assert_eq!(none.gather(&[])?.0.dims(), [0, 1, 28, 28]);
    let flat = ImageSet::new(vec![], [1, 0, 28], vec![1, 2], 10)?;
    let (x, labels) = flat.gather(&[1, 0])?;
    assert_eq!((x.dims(), labels), ([2, 1, 0, 28], vec![2, 1]));
    Ok(())
}

#[test]
fn debug_shows_sizes_and_not_pixels() {
    assert_eq!(
        format!("{:?}", set()),
        "ImageSet { len: 3, image_shape: [1, 1, 2], classes: 3, .. }"
    );
    assert_eq!(set().label_counts(), [1, 1, 1]);
}
