//! Which algorithm computes a gradient, and an element type.

mod common;

use common::{Case, SAME, SERVED, algorithms, asked, assert_outputs, run, try_options};
use conv::{Algorithm, Conv2d, Conv2dPlan, ConvScalar, KernelSet, Options, Update, Workspace};
use im2col::{Padding, Window};
use tensor4::Tensor4;

/// The gradient by the input runs by what is asked for, the mirrored convolution of each phase of a stride.
#[test]
fn the_gradient_by_the_input_is_what_was_asked_for() {
    let of = |window| Conv2d::new(17, 12, 14, 20, window);
    let three = Window::square(3);
    let convs = [
        of(SAME),
        of(SAME.stride(2)),
        of(three.dilation(2)),
        of(Window::square(4).stride(2)),
        of(three.stride(3)),
        of(three.pad(2).stride(2).dilation(2)),
        of(three.stride(4).dilation(2)),
        of(three.stride(3).dilation(2)),
        // Phases without taps, and without pixels.
        of(Window::new(1, 3).stride(2)),
        Conv2d::new(17, 1, 14, 20, Window::new(1, 3).stride(2)),
    ];
    for set in KernelSet::available() {
        for conv in convs {
            for algorithm in algorithms() {
                let options = Options::with_algorithm(algorithm).kernels(set);
                for options in [options, options.max_workspace_bytes(1 << 30)] {
                    let Some(plan) = try_options(conv, options) else { continue };
                    let gradient = plan.backward_data_algorithm();
                    assert_eq!(gradient, algorithm, "{}", plan.describe());
                    let needs = plan.max_backward_data_workspace_bytes();
                    assert_eq!(needs > 0, algorithm != Algorithm::Naive, "{}", plan.describe());
                }
            }
        }
        // A phase without pixels, whose tap would meet the row above them.
        let above = Padding { top: 1, left: 0, bottom: 0, right: 0 };
        let row = Conv2d::new(17, 1, 14, 20, Window::new(2, 3).stride(2).padding(above));
        let row = asked(row, Algorithm::Direct, set);
        assert_eq!(row.backward_data_algorithm(), Algorithm::Direct, "{}", row.describe());
        // Sums of more terms than have pixels in the lanes.
        let long = asked(Conv2d::new(2, 12, 14, 200, SAME), Algorithm::Depthwise, set);
        assert_eq!(long.backward_data_algorithm(), Algorithm::Direct, "{}", long.describe());
        // Nothing to walk over: sums of nothing, which products know.
        for nothing in [Conv2d::new(3, 5, 5, 0, SAME), Conv2d::new(0, 5, 5, 2, SAME)] {
            let plan = asked(nothing, Algorithm::Direct, set);
            assert_eq!(plan.backward_data_algorithm(), Algorithm::Im2colGemm);
        }
    }
}

/// Under stride 2 Winograd's algorithm computes all phases at once: those of windows that are as long along both
/// dimensions, and leave out no pixel at an end.
#[test]
fn phases_are_computed_together() {
    let squares = (3..=7).flat_map(|k| (0..=k - 2).map(move |pad| ((k, k), pad, true)));
    let others = [
        ((3, 3), 2, false),
        ((4, 4), 3, false),
        ((3, 4), 0, true),
        ((3, 4), 1, false),
        ((4, 3), 0, true),
        ((4, 3), 1, false),
        ((5, 6), 1, false),
        ((5, 6), 2, true),
        ((8, 7), 2, true),
    ];
    for ((kernel_h, kernel_w), pad, together) in squares.chain(others) {
        for (h, w, back) in
            [(8, 9, pad), (9, 8, pad), (10, 11, pad), (11, 10, pad), (9, 9, pad - pad.min(1))]
        {
            let padding = Padding { top: pad, left: pad, bottom: back, right: back };
            let window = Window::new(kernel_h, kernel_w).stride(2).padding(padding);
            let groups = 1 + h % 2;
            let conv = Conv2d::new(2 * groups, h, w, 2 * groups, window).groups(groups);
            let case = Case::new(1, conv);
            let plan = asked(case.conv, Algorithm::Winograd, KernelSet::Scalar);
            assert_eq!(plan.describe().contains("of all phases"), together, "{}", plan.describe());
            let (inputs, mut workspace) = (case.inputs::<f32>(), Workspace::new());
            let [actual, expected] =
                [plan, case.plan(Algorithm::Naive)].map(|plan| run(&plan, &inputs, &mut workspace));
            assert_outputs("all phases", &case, &plan, &actual, &expected);
        }
    }
}

/// By choice they are where that saves more than the transforms cost.
#[test]
fn phases_are_computed_together_by_choice() {
    for set in KernelSet::available().into_iter().filter(|&set| set != KernelSet::Scalar) {
        for (kernel, channels, size, together) in [(5, 64, 32, true), (3, 8, 6, false)] {
            let window = Window::square(kernel).stride(2).pad(1);
            let conv = Conv2d::new(channels, size, size, channels, window);
            let text = asked(conv, Algorithm::Auto, set).describe();
            assert_eq!(text.contains("of all phases"), together, "{text}");
        }
    }
}

/// A window that is the whole image meets it once: its gradient is a single product.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_whole_window_is_a_product() {
    if !KernelSet::Avx2.is_available() {
        return;
    }
    let of = |conv: Conv2d, options: Options| {
        let plan = Conv2dPlan::new(conv, options.kernels(KernelSet::Avx2)).expect("it serves");
        (plan.backward_data_algorithm(), plan.max_backward_data_workspace_bytes())
    };
    let whole = Conv2d::new(16, 5, 5, 40, Window::square(5));
    let product = (Algorithm::Im2colGemm, 0);
    assert_eq!(of(whole, Options::default()), product);
    assert_eq!(of(whole, Options::default().max_workspace_bytes(0)), product);
    for (what, other, options) in [
        ("asked for", whole, Options::with_algorithm(Algorithm::Direct)),
        ("groups", whole.groups(2), Options::default()),
        ("higher", Conv2d::new(16, 6, 5, 40, Window::square(5)), Options::default()),
        ("wider", Conv2d::new(16, 5, 6, 40, Window::square(5)), Options::default()),
        ("padded", Conv2d::new(16, 5, 5, 40, Window::square(5).pad(1)), Options::default()),
        (
            "padded, met once",
            Conv2d::new(16, 5, 5, 40, Window::square(5).pad(1).stride(3)),
            Options::default(),
        ),
    ] {
        assert_ne!(of(other, options), product, "{what}");
    }
    // Of nothing there is none.
    for nothing in
        [Conv2d::new(0, 5, 5, 2, Window::square(5)), Conv2d::new(3, 5, 5, 0, Window::square(5))]
    {
        let options = Options::default().kernels(KernelSet::Avx2);
        let plan = Conv2dPlan::new(nothing, options).expect("it serves");
        let common::Inputs { x, w, dy, .. } = Case::new(2, nothing).inputs::<f32>();
        let (mut dx, mut workspace) = (Tensor4::full(x.shape(), f32::NAN), Workspace::new());
        plan.backward_data_into(w.view(), dy.view(), dx.view_mut(), &mut workspace)
            .expect("it fits");
        assert_eq!(dx, Tensor4::zeros(x.shape()));
    }
}

/// The bytes of the gradient by the weights.
fn by_weights<T: ConvScalar>(plan: &Conv2dPlan, n: usize) -> Vec<u64> {
    let common::Inputs { x, w, dy, .. } = Case::new(n, *plan.desc()).inputs::<T>();
    let (mut dw, mut workspace) = (Tensor4::zeros(w.shape()), Workspace::new());
    let (to, update) = (dw.view_mut(), Update::Overwrite);
    plan.backward_weights_into(x.view(), dy.view(), to, None, update, &mut workspace)
        .expect("it fits");
    dw.data().iter().map(|v| v.to_f64().to_bits()).collect()
}

#[test]
fn the_gradient_by_the_weights_is_what_was_asked_for() {
    for set in KernelSet::available() {
        for algorithm in algorithms() {
            let plan = asked(SERVED, algorithm, set);
            assert_eq!(plan.backward_weights_algorithm(), algorithm, "{}", plan.describe());
        }
        // Doubles too, where a limit leaves no choice.
        let limited = Options::default().kernels(set).max_workspace_bytes(0);
        let limited = Conv2dPlan::new(SERVED, limited).expect("one needs nothing");
        let [naive, products] = [Algorithm::Naive, Algorithm::Im2colGemm]
            .map(|algorithm| by_weights::<f64>(&asked(SERVED, algorithm, set), 3));
        assert!(naive != products, "they round alike");
        assert!(by_weights::<f64>(&limited, 3) == naive, "{}", limited.describe());
    }
}

/// Where there is a choice, doubles are products, and so is all without vector kernels. Of few tiles Winograd's
/// algorithm computes the gradient by the weights only if it is asked for.
#[test]
fn the_gradient_by_the_weights_by_choice() {
    let conv = Conv2d::new(64, 8, 8, 64, SAME);
    for set in KernelSet::available() {
        let plan = asked(conv, Algorithm::Auto, set);
        let [products, direct, winograd] =
            [Algorithm::Im2colGemm, Algorithm::Direct, Algorithm::Winograd]
                .map(|algorithm| asked(conv, algorithm, set));
        for (n, few) in [(1, true), (3, false)] {
            let expected = match set {
                KernelSet::Scalar => &products,
                _ if few => &direct,
                _ => &winograd,
            };
            let chosen = by_weights::<f32>(&plan, n);
            assert!(chosen == by_weights::<f32>(expected, n), "{n}: {}", plan.describe());
            let same = expected.algorithm() == Algorithm::Winograd;
            assert_eq!(chosen == by_weights::<f32>(&winograd, n), same, "{n}: {}", plan.describe());
            let chosen = by_weights::<f64>(&plan, n);
            assert!(
                chosen == by_weights::<f64>(&products, n)
                    && chosen != by_weights::<f64>(&winograd, n)
            );
        }
    }
}

/// The sum over no images is nothing: 0 where it overwrites, no change where it accumulates.
#[test]
fn gradients_of_no_images() {
    for set in KernelSet::available() {
        for plan in algorithms().map(|algorithm| asked(SERVED, algorithm, set)) {
            let common::Inputs { x, w, dy, bias } = Case::new(0, SERVED).inputs::<f32>();
            for (update, expected) in [(Update::Overwrite, 0.0), (Update::Accumulate, 3.0)] {
                let (mut dw, mut db) = (Tensor4::full(w.shape(), 3.0), vec![3.0; bias.len()]);
                let (to, mut workspace) = (dw.view_mut(), Workspace::new());
                plan.backward_weights_into(
                    x.view(),
                    dy.view(),
                    to,
                    Some(&mut db),
                    update,
                    &mut workspace,
                )
                .expect("it fits");
                let all = dw.data().iter().chain(&db).all(|&v| v == expected);
                assert!(all, "{update:?}: {}", plan.describe());
            }
        }
    }
}
