//! Shapes, tensors and views as a user meets them.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tensor4::{Shape4, Tensor4, TensorError, View4, ViewMut4};

fn shape(n: usize, c: usize, h: usize, w: usize) -> Shape4 {
    Shape4::new(n, c, h, w).expect("a small shape")
}

/// 0, 1, 2, … in NCHW order.
fn counting(shape: Shape4) -> Tensor4<f32> {
    let data = (0..shape.len()).map(|i| i as f32).collect();
    Tensor4::from_vec(shape, data).expect("as many as the shape says")
}

/// The same cases in every run.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    /// Whatever the sizes, the length is their product or the shape is refused.
    #[test]
    fn lengths_never_overflow(dims in prop::array::uniform4(prop_oneof![
        4 => 0..100_usize,
        2 => (0..usize::BITS).prop_map(|bit| 1_usize << bit),
        1 => any::<usize>(),
    ])) {
        let [n, c, h, w] = dims;
        // A size of 0 does not hide an overflow of the others.
        let product = dims.iter().try_fold(1_u128, |len, &d| len.checked_mul(d.max(1) as u128));
        let fits = product.is_some_and(|len| len <= Shape4::MAX_LEN as u128);
        match Shape4::new(n, c, h, w) {
            Ok(shape) => {
                prop_assert!(fits, "{shape} is accepted");
                prop_assert_eq!(shape.len(), n * c * h * w);
                prop_assert_eq!(shape.image_len(), c * h * w);
                prop_assert_eq!(shape.plane_len(), h * w);
                prop_assert_eq!(shape.is_empty(), dims.contains(&0));
            }
            Err(error) => {
                prop_assert!(!fits, "{dims:?} is refused");
                prop_assert_eq!(error, TensorError::TooLarge { n, c, h, w });
            }
        }
    }

    #[test]
    fn elements_stand_in_nchw_order(n in 0..4_usize, c in 0..4_usize, h in 0..5_usize, w in 0..5_usize) {
        let x = counting(shape(n, c, h, w));
        let by_index = Tensor4::from_fn(x.shape(), |i, j, k, l| {
            (((i * c + j) * h + k) * w + l) as f32
        });
        prop_assert_eq!(&x, &by_index);
        for i in 0..n {
            for j in 0..c {
                for k in 0..h {
                    for l in 0..w {
                        prop_assert_eq!(x.get(i, j, k, l), Some(x[(i, j, k, l)]));
                        prop_assert_eq!(x.plane(i, j)[k * w + l], x[(i, j, k, l)]);
                        prop_assert_eq!(x.image(i)[(j * h + k) * w + l], x[(i, j, k, l)]);
                    }
                }
            }
        }
        for (i, j, k, l) in [(n, 0, 0, 0), (0, c, 0, 0), (0, 0, h, 0), (0, 0, 0, w)] {
            prop_assert_eq!(x.get(i, j, k, l), None);
        }
    }

    #[test]
    fn a_range_of_the_batch_is_those_images(n in 0..6_usize, a in 0..8_usize, b in 0..8_usize) {
        let mut x = counting(shape(n, 2, 3, 1));
        let valid = a <= b && b <= n;
        let error = TensorError::BatchRange { range: a..b, len: n };
        match x.view().batch(a..b) {
            Ok(part) => {
                prop_assert!(valid);
                prop_assert_eq!(part.dims(), [b - a, 2, 3, 1]);
                prop_assert_eq!(part.data(), &x.data()[6 * a..6 * b]);
            }
            Err(actual) => prop_assert!(!valid && actual == error, "{actual}"),
        }
        let before = x.clone();
        match x.view_mut().batch_mut(a..b) {
            Ok(mut part) => part.fill(-1.0),
            Err(actual) => prop_assert!(!valid && actual == error, "{actual}"),
        }
        for i in 0..n {
            let written = valid && (a..b).contains(&i);
            prop_assert_eq!(x.image(i), if written { &[-1.0; 6] } else { before.image(i) });
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let s = shape(2, 1, 2, 2);
    let error =
        |operation, actual| TensorError::Length { operation, shape: s, expected: 8, actual };
    assert_eq!(Tensor4::from_vec(s, vec![0.0_f32; 7]), Err(error("Tensor4::from_vec", 7)));
    assert_eq!(View4::new(s, &[0.0_f64; 9]), Err(error("View4::new", 9)));
    assert_eq!(ViewMut4::new(s, &mut [0.0_f64; 0]), Err(error("ViewMut4::new", 0)));
    assert_eq!(counting(shape(1, 1, 3, 3)).reshape(s), Err(error("reshape", 9)));
    assert_eq!(
        error("reshape", 9).to_string(),
        "reshape: shape (2, 1, 2, 2) needs 8 elements, the buffer has 9"
    );
    let huge = Tensor4::<f32>::from_matrix(usize::MAX, 2, Vec::new());
    assert!(matches!(huge, Err(TensorError::TooLarge { n: usize::MAX, c: 2, h: 1, w: 1 })));
}

#[test]
#[should_panic(expected = "index (0, 1, 0, 0) of a tensor of shape (2, 1, 2, 2)")]
fn an_index_outside_panics_with_both() {
    let _ = counting(shape(2, 1, 2, 2))[(0, 1, 0, 0)];
}

#[test]
fn reshaping_moves_nothing() -> Result<(), TensorError> {
    let x = counting(shape(2, 3, 2, 2));
    let at = x.data().as_ptr();
    let matrix = x.clone().into_matrix();
    assert_eq!((matrix.dims(), matrix.matrix_dims()), ([2, 12, 1, 1], (2, 12)));
    assert_eq!(matrix.data(), x.data());
    assert_eq!(x.view().reshape(shape(4, 1, 3, 2))?.data().as_ptr(), at);
    let x = x.reshape(shape(1, 1, 4, 6))?;
    assert_eq!((x.data().as_ptr(), x[(0, 0, 3, 5)]), (at, 23.0));
    Ok(())
}

#[test]
fn map_and_zip() -> Result<(), TensorError> {
    let x = counting(shape(1, 2, 1, 2));
    let mut doubled = x.map(|x| f64::from(x) * 2.0);
    assert_eq!(doubled.data(), [0.0, 2.0, 4.0, 6.0]);
    doubled.map_inplace(|x| x + 1.0);
    assert_eq!(doubled.cast::<f32>().data(), [1.0, 3.0, 5.0, 7.0]);
    assert_eq!(x.zip_map(&x, |a, b| a - 2.0 * b)?.data(), [0.0, -1.0, -2.0, -3.0]);

    let (left, right) = (x.shape(), shape(1, 1, 2, 2));
    let error = x.zip_map(&counting(right), |a, _| a).unwrap_err();
    assert_eq!(error, TensorError::ShapeMismatch { operation: "zip_map", left, right });
    assert_eq!(error.to_string(), "zip_map: the shapes (1, 2, 1, 2) and (1, 1, 2, 2) differ");
    Ok(())
}

#[test]
fn display_is_for_people() -> Result<(), TensorError> {
    let x = Tensor4::from_vec(shape(1, 2, 1, 2), vec![1.0_f32, -0.5, 20.25, 0.0])?;
    assert_eq!(
        format!("{x:.2}"),
        "Tensor4<f32> (1, 2, 1, 2)\n\
         image 0, channel 0\n     1.00   -0.50 \n\
         image 0, channel 1\n    20.25    0.00 \n"
    );
    let matrix = Tensor4::from_matrix(2, 2, vec![1.0_f64, 2.0, 3.0, 4.0])?;
    assert_eq!(format!("{matrix:.0}"), "Tensor4<f64> (2, 2, 1, 1)\n    1     2 \n    3     4 \n");

    let large = format!("{}", counting(shape(10, 9, 12, 11)));
    for rest in
        ["... 3 more\n", "... 4 more rows\n", "... 1 more channels\n", "... 2 more images\n"]
    {
        assert!(large.contains(rest), "no {rest:?}");
    }
    assert!(large.lines().count() < 1000 && large.lines().all(|line| line.len() <= 100));
    Ok(())
}

#[cfg(feature = "rand")]
#[test]
fn seeded_fills_repeat_and_have_the_right_moments() {
    let s = shape(10, 10, 20, 20);
    let moments = |x: &Tensor4<f64>| {
        let len = x.len() as f64;
        let mean = x.data().iter().sum::<f64>() / len;
        (mean, x.data().iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / len)
    };
    let uniform = Tensor4::<f64>::uniform(s, -1.0, 3.0, 7);
    let normal = Tensor4::<f64>::normal(s, 0.5, 2.0, 7);
    assert_eq!(uniform, Tensor4::uniform(s, -1.0, 3.0, 7));
    assert_eq!(normal, Tensor4::normal(s, 0.5, 2.0, 7));
    assert_ne!(uniform, Tensor4::uniform(s, -1.0, 3.0, 8));
    assert_ne!(normal, Tensor4::normal(s, 0.5, 2.0, 8));
    assert_eq!(uniform.cast::<f32>(), Tensor4::uniform(s, -1.0, 3.0, 7));
    assert_eq!(normal.cast::<f32>(), Tensor4::normal(s, 0.5, 2.0, 7));
    assert!(uniform.data().iter().all(|x| (-1.0..3.0).contains(x)));

    // 40,000 draws: five standard errors of the mean are 0.029 and 0.05, of the variance 0.03
    // and 0.14.
    let (mean, variance) = moments(&uniform);
    assert!(
        (mean - 1.0).abs() < 0.029 && (variance - 16.0 / 12.0).abs() < 0.03,
        "{mean} {variance}"
    );
    let (mean, variance) = moments(&normal);
    assert!((mean - 0.5).abs() < 0.05 && (variance - 4.0).abs() < 0.14, "{mean} {variance}");
    // As many beyond two standard deviations as a normal distribution has: 4.55%.
    let beyond = normal.data().iter().filter(|&&x| (x - 0.5).abs() > 4.0).count();
    assert!((1600..=2040).contains(&beyond), "{beyond} of 40,000");
}
