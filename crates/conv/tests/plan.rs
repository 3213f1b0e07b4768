//! What a plan says of itself, and what it packs.

mod common;

use common::{Case, SAME, SERVED, algorithms, asked, bits, plans, plans_on, run};
use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, ConvScalar, Epilogue, KernelSet, Numerics, Options,
    PackedWeights, Update, Workspace,
};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use tensor4::Tensor4;

#[test]
fn a_plan_knows_what_it_was_asked_for() {
    let limit = 1 << 20;
    let options = Options::with_algorithm(Algorithm::Direct)
        .numerics(Numerics::Strict)
        .max_workspace_bytes(limit);
    assert_eq!(options.max_workspace_bytes, Some(limit));
    let plan = Conv2dPlan::new(SERVED, options).expect("it serves");
    assert_eq!(plan.options(), options);
    assert_eq!(*plan.desc(), SERVED);
    for set in KernelSet::available() {
        for algorithm in algorithms() {
            let plan = asked(SERVED, algorithm, set);
            assert_eq!((plan.algorithm(), plan.kernel_set()), (algorithm, set));
            assert_eq!([0, 1, 9].map(|n| plan.algorithm_of(n)), [algorithm; 3]);
        }
    }
}

#[test]
fn plans_in_words() {
    let geometry = "on scalar: (17, 12, 14) -> (20, 12, 14), kernel 3x3, groups 1";
    let halved = "on scalar: (17, 12, 14) -> (20, 6, 7), kernel 3x3, groups 1";
    for (window, algorithm, geometry, rest) in [
        (SAME, Algorithm::Naive, geometry, "backward by the data: naive"),
        (SAME, Algorithm::Direct, geometry, "backward by the data: direct 3x3"),
        (
            SAME,
            Algorithm::Winograd,
            geometry,
            "as F(4x4, 3x3); backward by the data: winograd 3x3 as F(4x4, 3x3)",
        ),
        (
            SAME,
            Algorithm::Im2colGemm,
            geometry,
            "unfolds 153 of 153 terms of 1064 pixels of several images at a time; \
             backward by the data: im2col-gemm",
        ),
        (
            SAME.stride(2),
            Algorithm::Winograd,
            halved,
            "as F(5x5, 2x2); backward by the data: winograd of all phases as F(5x5, 2x2)",
        ),
        (
            SAME.stride(2),
            Algorithm::Direct,
            halved,
            "backward by the data: direct 1x1 + direct 1x2 + direct 2x1 + direct 2x2",
        ),
    ] {
        let conv = Conv2d::new(17, 12, 14, 20, window);
        let text = asked(conv, algorithm, KernelSet::Scalar).describe();
        assert_eq!(text, format!("{algorithm} (asked for) {geometry}; {rest}"));
    }
}

fn packed<T: ConvScalar>(plan: &Conv2dPlan) -> PackedWeights<T> {
    let inputs = Case::new(1, *plan.desc()).inputs::<T>();
    plan.pack_weights(inputs.w.view()).expect("it fits")
}

#[test]
fn packed_weights_are_those_of_the_algorithm() {
    let weights = 20 * 17 * 9;
    for set in KernelSet::available() {
        for algorithm in algorithms() {
            let plan = asked(SERVED, algorithm, set);
            let (single, double) = (packed::<f32>(&plan), packed::<f64>(&plan));
            assert_eq!([single.algorithm(), double.algorithm()], [algorithm; 2]);
            let (least, most) = match algorithm {
                Algorithm::Naive => (weights, weights),
                // As many points as a form may have instead of taps, whole registers, and a line for each point.
                Algorithm::Winograd => (weights, weights * 16),
                _ => (weights, weights * 3),
            };
            for (bytes, of) in [(single.bytes(), 4), (double.bytes(), 8)] {
                assert!((least * of..=most * of).contains(&bytes), "{bytes}: {}", plan.describe());
            }
        }
        // No channels, no weights.
        for conv in [Conv2d::new(0, 5, 5, 2, SAME), Conv2d::new(3, 5, 5, 0, SAME)] {
            for plan in plans_on(conv, set) {
                assert_eq!(packed::<f32>(&plan).bytes(), 0, "{}", plan.describe());
                assert_eq!(packed::<f64>(&plan).bytes(), 0, "{}", plan.describe());
            }
        }
    }
}

/// Where another algorithm runs few images, both forms are packed.
#[test]
fn weights_for_few_images_are_packed_too() {
    let of_few_tiles = Conv2d::new(128, 8, 4, 128, SAME);
    let of_many = Conv2d::new(64, 16, 16, 64, SAME);
    for set in KernelSet::available().into_iter().filter(|&set| set != KernelSet::Scalar) {
        for (conv, few) in [(of_few_tiles, true), (of_many, false)] {
            let plan = asked(conv, Algorithm::Auto, set);
            assert_eq!(plan.algorithm(), Algorithm::Winograd, "{}", plan.describe());
            assert_eq!(plan.algorithm_of(99), Algorithm::Winograd);
            let of_one = if few { Algorithm::Direct } else { Algorithm::Winograd };
            assert_eq!(plan.algorithm_of(1), of_one, "{}", plan.describe());
            let bytes = |algorithm| packed::<f32>(&asked(conv, algorithm, set)).bytes();
            let direct = if few { bytes(Algorithm::Direct) } else { 0 };
            let expected = bytes(Algorithm::Winograd) + direct;
            assert_eq!(packed::<f32>(&plan).bytes(), expected, "{}", plan.describe());
            let (inputs, mut workspace) = (Case::new(1, conv).inputs::<f32>(), Workspace::new());
            plan.forward(inputs.x.view(), inputs.w.view(), None, &mut workspace).expect("it fits");
            assert!(workspace.bytes() <= plan.max_workspace_bytes(), "{}", plan.describe());
        }
    }
}

/// Weights serve the plans whose algorithm, kernels, groups and shape they were packed for, and no others.
#[test]
fn weights_packed_for_another_plan_are_refused() {
    fn serve<T: ConvScalar>(weights: &PackedWeights<T>, plan: &Conv2dPlan) -> bool {
        let x = Case::new(1, *plan.desc()).inputs::<T>().x;
        let mut y = Tensor4::zeros(plan.output_shape(1).expect("a small one"));
        let (y, mut workspace) = (y.view_mut(), Workspace::new());
        plan.forward_packed_into(x.view(), weights, None, Epilogue::None, y, &mut workspace).is_ok()
    }
    let of = |in_h, out_channels| Conv2d::new(5, in_h, 6, out_channels, SAME);
    let (conv, sets) = (of(4, 3), KernelSet::available());
    for algorithm in algorithms() {
        for &set in &sets {
            let plan = asked(conv, algorithm, set);
            let (single, double) = (packed::<f32>(&plan), packed::<f64>(&plan));
            let higher = of(5, 3);
            assert!(serve(&single, &asked(higher, algorithm, set)), "an image of another size");
            let wider = of(4, 4);
            assert!(!serve(&single, &asked(wider, algorithm, set)), "more output channels");
            for &other in &sets {
                let on = asked(conv, algorithm, other);
                assert_eq!(serve(&single, &on), other == set, "{set}, {}", on.describe());
                // Of our own kernels there are portable ones alone for `f64`.
                let same = other == set || algorithm != Algorithm::Im2colGemm;
                assert_eq!(serve(&double, &on), same, "f64: {set}, {}", on.describe());
            }
            for other in algorithms() {
                let by = asked(conv, other, set);
                assert_eq!(serve(&single, &by), other == algorithm, "{}", by.describe());
            }
        }
    }
}

#[test]
fn doubles_are_products_where_there_is_a_choice() {
    for set in KernelSet::available() {
        let plan = asked(SERVED, Algorithm::Auto, set);
        assert_eq!(packed::<f64>(&plan).algorithm(), Algorithm::Im2colGemm, "{set}");
        let limited = Options::default().kernels(set).max_workspace_bytes(0);
        let plan = Conv2dPlan::new(SERVED, limited).expect("one needs nothing");
        assert_eq!(packed::<f64>(&plan).algorithm(), plan.algorithm(), "{set}, no workspace");
        // Without a pixel there is nothing to walk over.
        let empty =
            asked(Conv2d::new(2, 0, 0, 3, Window::square(3).pad(2)), Algorithm::Direct, set);
        assert_eq!(packed::<f32>(&empty).algorithm(), Algorithm::Im2colGemm, "{set}");
        let naive = asked(*empty.desc(), Algorithm::Naive, set);
        assert_eq!(packed::<f32>(&naive).algorithm(), Algorithm::Naive, "{set}");
    }
}

/// Each pass takes at most as many bytes as its plan says: as many, where a few images take all of them.
#[test]
fn passes_take_what_their_plans_say() {
    let one = ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let windows = [SAME, SAME.stride(2), SAME.dilation(2), Window::square(5).pad(2).stride(2)];
    let convs = windows.map(|window| Conv2d::new(5, 8, 7, 9, window));
    for conv in convs.into_iter().chain([Conv2d::new(0, 8, 7, 2, SAME)]) {
        plans(conv).for_each(|plan| one.install(|| check_workspace(&plan)));
    }
}

fn check_workspace(plan: &Conv2dPlan) {
    let common::Inputs { x, w, bias, dy } = Case::new(3, *plan.desc()).inputs::<f32>();
    let (x, w, dy, bias) = (x.view(), w.view(), dy.view(), Some(&bias[..]));
    let check = |pass: &str, most: usize, run: &dyn Fn(&mut Workspace<f32>)| {
        let mut workspace = Workspace::new();
        run(&mut workspace);
        let used = workspace.bytes();
        assert!(used <= most, "{pass}: {used}, {most}: {}", plan.describe());
        // What else is announced is for larger batches.
        let products = plan.algorithm() == Algorithm::Im2colGemm;
        let all = products && pass != "weights" && !x.data().is_empty();
        assert!(!all || used == most, "{pass}: {used}, {most}: {}", plan.describe());
    };
    check("forward", plan.max_workspace_bytes(), &|workspace| {
        plan.forward(x, w, bias, workspace).expect("it fits");
    });
    check("pooled", plan.max_relu_pool_workspace_bytes(), &|workspace| {
        let mut y = Tensor4::zeros(plan.pooled_shape(3).expect("it fits"));
        let y = y.view_mut();
        plan.forward_relu_pool_into(x, w, bias, y, None, workspace).expect("it fits");
    });
    check("data", plan.max_backward_data_workspace_bytes(), &|workspace| {
        let mut dx = Tensor4::zeros(x.shape());
        plan.backward_data_into(w, dy, dx.view_mut(), workspace).expect("it fits");
    });
    check("weights", plan.max_backward_weights_workspace_bytes(), &|workspace| {
        let mut dw = Tensor4::zeros(w.shape());
        let (to, update) = (dw.view_mut(), Update::Overwrite);
        plan.backward_weights_into(x, dy, to, None, update, workspace).expect("it fits");
    });
}

/// A limit is kept by an algorithm that needs less, unless one was asked for.
#[test]
fn plans_within_a_limit() {
    let of = |conv: Conv2d, algorithm: Algorithm, set: KernelSet, limit: usize| {
        let options = Options::with_algorithm(algorithm).kernels(set).max_workspace_bytes(limit);
        Conv2dPlan::new(conv, options)
    };
    for set in KernelSet::available() {
        for algorithm in algorithms().filter(|&algorithm| algorithm != Algorithm::Naive) {
            let most = asked(SERVED, algorithm, set).max_workspace_bytes();
            assert_eq!(
                of(SERVED, algorithm, set, most).map(|plan| plan.algorithm()),
                Ok(algorithm)
            );
            let refused = of(SERVED, algorithm, set, most - 1).expect_err("too little");
            assert!(
                matches!(
                    refused,
                    ConvError::Workspace { algorithm: by, needed, max, .. }
                        if (by, needed, max) == (algorithm, most, most - 1)
                ),
                "{refused}"
            );
        }
        // From the one that needs most to the one that needs nothing.
        let conv = Conv2d::new(64, 16, 16, 64, SAME);
        let wide = Conv2d::new(1, 2, 300, 2, Window::new(1, 257));
        for conv in [conv, wide] {
            let (mut plan, mut chosen) = (asked(conv, Algorithm::Auto, set), Vec::new());
            while plan.max_workspace_bytes() > 0 {
                chosen.push(plan.algorithm());
                let limit = plan.max_workspace_bytes() - 1;
                plan = of(conv, Algorithm::Auto, set, limit).expect("one needs nothing");
                assert!(plan.max_workspace_bytes() <= limit, "{}", plan.describe());
                assert!(plan.describe().contains("need more workspace than is allowed"));
            }
            chosen.push(plan.algorithm());
            let expected: &[Algorithm] = match (set, conv == wide) {
                // Direct sums do not serve a kernel of so many columns.
                (KernelSet::Scalar, true) => &[Algorithm::Im2colGemm, Algorithm::Naive],
                (_, true) => &[Algorithm::Depthwise, Algorithm::Naive],
                (KernelSet::Scalar, false) => {
                    &[Algorithm::Im2colGemm, Algorithm::Direct, Algorithm::Naive]
                }
                (_, false) => &[Algorithm::Winograd, Algorithm::Direct, Algorithm::Naive],
            };
            assert_eq!(chosen, expected, "{set}");
        }
        // Where there is nothing to sum as well.
        let no_pixels = Conv2d::new(2, 0, 0, 3, Window::square(3).pad(2));
        for nothing in [Conv2d::new(0, 5, 5, 2, SAME), Conv2d::new(3, 5, 5, 0, SAME), no_pixels] {
            let plan = of(nothing, Algorithm::Auto, set, 0).expect("one needs nothing");
            let (inputs, mut workspace) = (Case::new(2, nothing).inputs::<f32>(), Workspace::new());
            let [actual, expected] = [plan, asked(nothing, Algorithm::Naive, set)]
                .map(|plan| bits(&run(&plan, &inputs, &mut workspace)));
            assert!(actual == expected, "{}", plan.describe());
            assert_eq!(workspace.bytes(), 0, "{}", plan.describe());
        }
    }
}
