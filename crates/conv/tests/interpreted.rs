//! A few convolutions, so small that Miri can interpret them (a product takes it a millisecond), through every
//! algorithm and every call: what `cargo xtask sanitize` runs under Miri, which looks at each access. All other
//! runs compare what comes out with the naive algorithm.

mod common;

use common::{
    Case, Inputs, all_options, assert_outputs, assert_sums, naive_pool, run, slack, try_options,
};
use conv::{
    Affine, Algorithm, Backward, Conv2d, Conv2dPlan, ConvScalar, Epilogue, KernelSet, MaxRow,
    PairShares, PairSums, Update, Workspace, naive,
};
use im2col::{Padding, Window};
use tensor4::Tensor4;
use testkit::{tensor, values};

fn small_cases() -> Vec<(&'static str, Case)> {
    let same = Window::square(3).pad(1);
    let uneven = Padding { top: 0, left: 2, bottom: 1, right: 0 };
    let mut cases = vec![
        ("3x3", Case::new(2, Conv2d::new(2, 3, 5, 3, same))),
        ("several registers", Case::new(1, Conv2d::new(1, 2, 9, 9, same))),
        ("stride 2", Case::new(1, Conv2d::new(2, 5, 6, 2, same.stride(2)))),
        (
            "stride and dilation",
            Case::new(1, Conv2d::new(1, 7, 6, 2, Window::square(3).pad(2).stride(2).dilation(2))),
        ),
        (
            "dilation within a stride",
            Case::new(1, Conv2d::new(2, 9, 9, 1, Window::square(3).stride(4).dilation(2))),
        ),
        (
            "dilation beside a stride",
            Case::new(1, Conv2d::new(1, 9, 8, 2, Window::square(3).stride(3).dilation(2))),
        ),
        ("dilation", Case::new(1, Conv2d::new(1, 6, 5, 2, same.dilation(2)))),
        ("groups", Case::new(2, Conv2d::new(4, 2, 3, 4, same).groups(2))),
        ("depthwise", Case::new(1, Conv2d::new(3, 5, 5, 3, same).groups(3))),
        ("one tap", Case::new(2, Conv2d::new(3, 4, 4, 5, Window::square(1)))),
        ("5x5", Case::new(1, Conv2d::new(1, 4, 5, 2, Window::square(5).pad(2)))),
        (
            "padding on one side",
            Case::new(1, Conv2d::new(2, 4, 5, 2, Window::new(2, 3).padding(uneven))),
        ),
        (
            "stride above the kernel",
            Case::new(1, Conv2d::new(1, 7, 7, 2, Window::new(1, 2).stride(3))),
        ),
        ("no channels", Case::new(1, Conv2d::new(0, 3, 3, 2, same))),
    ];
    // More than Winograd's algorithm sums at a time, forward and back. Miri takes a quarter of an hour for each.
    if !cfg!(miri) {
        cases.extend([
            ("many channels", Case::new(1, Conv2d::new(67, 2, 2, 2, same))),
            ("many output channels", Case::new(1, Conv2d::new(2, 2, 2, 67, same))),
        ]);
    }
    cases
}

/// All algorithms on the portable kernels, where the choice is always the same; on the others the other tests run
/// them.
fn small_plans(conv: Conv2d) -> impl Iterator<Item = Conv2dPlan> {
    let options = all_options(KernelSet::Scalar).into_iter();
    let plans = options.filter_map(move |options| try_options(conv, options));
    plans.filter(|plan| {
        !cfg!(miri) || !matches!(plan.options().algorithm, Algorithm::Auto | Algorithm::Naive)
    })
}

fn check<T: ConvScalar>(what: &str, case: &Case) {
    let inputs = case.inputs::<T>();
    let expected =
        (!cfg!(miri)).then(|| run(&case.plan(Algorithm::Naive), &inputs, &mut Workspace::new()));
    for plan in small_plans(case.conv) {
        let mut workspace = Workspace::new();
        let actual = run(&plan, &inputs, &mut workspace);
        if let Some(expected) = &expected {
            assert_outputs(what, case, &plan, &actual, expected);
        }
        let Inputs { x, w, bias, dy } = &inputs;
        let what = format!("{what} {}", plan.describe());

        let packed = plan.pack_weights(w.view()).expect("they fit");
        let mut y = Tensor4::full(dy.shape(), T::NAN);
        let (to, bias) = (y.view_mut(), Some(&bias[..]));
        plan.forward_packed_into(x.view(), &packed, bias, Epilogue::Relu, to, &mut workspace)
            .expect("it fits");
        let relu = |y: T| if y > T::ZERO { y } else { T::ZERO };
        assert_eq!(y, actual.y.map(relu), "{what}: packed, with a ReLU");

        let mut dx = Tensor4::full(x.shape(), T::NAN);
        let mut dw = Tensor4::full(w.shape(), T::NAN);
        let (x, w, dy, update) = (x.view(), w.view(), dy.view(), Update::Overwrite);
        let given = Backward { x, w, dy, relu: Some(y.view()), update };
        let to = Some(dx.view_mut());
        plan.backward_into(&given, to, dw.view_mut(), None, &mut workspace).expect("it fits");
        let through = |dy, y| if y > T::ZERO { dy } else { T::ZERO };
        if !cfg!(miri) {
            let masked = inputs.dy.zip_map(&y, through).expect("of one shape");
            let masked = run(&plan, &Inputs { dy: masked, ..inputs.clone() }, &mut workspace);
            assert_eq!((dx, dw), (masked.dx, masked.dw), "{what}: at once");
        }

        let Ok(shape) = plan.pooled_shape(case.n) else { continue };
        let (mut pooled, mut argmax) = (Tensor4::full(shape, T::NAN), vec![9; shape.len()]);
        let (to, places) = (pooled.view_mut(), Some(&mut argmax[..]));
        plan.forward_relu_pool_into(x, w, bias, to, places, &mut workspace).expect("it fits");
        let expected = naive_pool(actual.y.map(relu).view());
        assert!(expected == (pooled.data().to_vec(), argmax.clone()), "{what}: pooled");
        let (mut again, mut places) = (Tensor4::full(shape, T::NAN), vec![9; shape.len()]);
        let (to, at) = (again.view_mut(), Some(&mut places[..]));
        plan.forward_packed_relu_pool_into(x, &packed, bias, to, at, &mut workspace)
            .expect("it fits");
        assert!(expected == (again.into_vec(), places), "{what}: packed and pooled");

        let dy = tensor::<T>(shape, 5);
        let mut spread = Tensor4::full(y.shape(), T::NAN);
        let to = spread.view_mut();
        plan.backward_relu_pool_into(dy.view(), pooled.view(), &argmax, to).expect("it fits");
        // What is spread is what came in, where a pixel is above 0.
        let came = dy.zip_map(&pooled, through).expect("of one shape");
        let sum = |t: &Tensor4<T>| vec![t.data().iter().fold(T::ZERO, |sum, &v| sum + v)];
        assert_sums(
            &format!("{what}: pooled"),
            &sum(&spread),
            &sum(&came),
            shape.len() * slack(&plan),
        );
    }
}

#[test]
fn small_convolutions_of_singles_are_naive() {
    small_cases().iter().for_each(|(what, case)| check::<f32>(what, case));
}

#[test]
fn small_convolutions_of_doubles_are_naive() {
    // The same code, but for the type.
    let step = if cfg!(miri) { 4 } else { 1 };
    small_cases().iter().step_by(step).for_each(|(what, case)| check::<f64>(what, case));
}

#[test]
fn small_affine_maps_are_naive() {
    for (images, inputs, outputs) in [(1, 3, 2), (2, 5, 9), (4, 9, 5), (9, 4, 3)] {
        let (x, w) = (values::<f64>(images * inputs, 1), values::<f64>(inputs * outputs, 2));
        let (bias, dy) = (values::<f64>(outputs, 3), values::<f64>(images * outputs, 4));
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        let mut dw = vec![0.0; w.len()];
        naive::affine(&x, &w, &bias, &mut y);
        naive::affine_gradients(inputs, [&x, &w, &dy], &mut dw, &mut dx);
        let (map, scratch) = (Affine::new(inputs, outputs).on(KernelSet::Scalar), &mut Vec::new());
        let mut actual = [y.len(), dw.len(), dx.len()].map(|len| vec![f64::NAN; len]);
        map.forward(&x, &w, &bias, &mut actual[0], scratch);
        map.backward_weights(&x, &dy, &mut actual[1]);
        map.backward_data(&w, &dy, &mut actual[2], scratch);
        for (actual, expected) in actual.iter().zip([y, dw, dx]) {
            assert_sums("affine", actual, &expected, 16);
        }
    }
}

#[test]
fn small_rows_of_pools() {
    let x = values::<f32>(4 * 5 * 7, 1);
    let (mut y, mut taps) = ([f32::NAN; 3], [99; 3]);
    let row = MaxRow {
        x: &x,
        row_stride: 7,
        stride: 2,
        dilation: 1,
        kernel: [2, 3],
        y: &mut y,
        taps: &mut taps,
    };
    row.run();
    for (i, (&y, &tap)) in y.iter().zip(&taps).enumerate() {
        let value = |tap: usize| x[2 * i + tap / 3 * 7 + tap % 3];
        assert_eq!(y, value(usize::from(tap)));
        assert!((0..6).all(|other| value(other) <= y), "{i}");
    }
    let (dy, mut dx, mut sums) = (values::<f32>(15, 2), [f32::NAN; 60], [f32::NAN; 15]);
    PairSums { x: &x[..60], cols: 5, factor: 1.0, y: &mut sums }.run();
    PairShares { dy: &dy, cols: 5, factor: 1.0, dx: &mut dx }.run();
    let total = |values: &[f32]| vec![values.iter().sum::<f32>()];
    assert_sums("sums", &total(&sums), &total(&x[..60]), 60);
    let four_times: Vec<f32> = dy.iter().map(|dy| 4.0 * dy).collect();
    assert_sums("shares", &total(&dx), &total(&four_times), 60);
}
