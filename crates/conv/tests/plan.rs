//! What a plan says of itself, and what it packs.

mod common;

use common::{Case, all_options, try_options};
use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, ConvScalar, Epilogue, KernelSet, Numerics, Options,
    PackedWeights, Update, Workspace,
};
use im2col::Window;
use rayon::ThreadPoolBuilder;
use tensor4::Tensor4;

const SAME: Window = Window::square(3).pad(1);

/// A convolution that every algorithm serves.
fn conv() -> Conv2d {
    Conv2d::new(17, 12, 14, 20, SAME)
}

fn asked(conv: Conv2d, algorithm: Algorithm, set: KernelSet) -> Conv2dPlan {
    Conv2dPlan::new(conv, Options::with_algorithm(algorithm).kernels(set)).expect("it serves")
}

/// All but the choice among them.
fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|&algorithm| algorithm != Algorithm::Auto)
}

#[test]
fn a_plan_knows_what_it_was_asked_for() {
    let limit = 1 << 20;
    let options = Options::with_algorithm(Algorithm::Direct)
        .numerics(Numerics::Strict)
        .max_workspace_bytes(limit);
    assert_eq!(options.max_workspace_bytes, Some(limit));
    let plan = Conv2dPlan::new(conv(), options).expect("it serves");
    assert_eq!(plan.options(), options);
    assert_eq!(*plan.desc(), conv());
    for set in KernelSet::available() {
        for algorithm in algorithms() {
            let plan = asked(conv(), algorithm, set);
            assert_eq!((plan.algorithm(), plan.kernel_set()), (algorithm, set));
            assert_eq!([0, 1, 9].map(|n| plan.algorithm_of(n)), [algorithm; 3]);
        }
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
            let plan = asked(conv(), algorithm, set);
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
            for plan in
                all_options(set).into_iter().filter_map(|options| try_options(conv, options))
            {
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
        let plan = asked(conv(), Algorithm::Auto, set);
        assert_eq!(packed::<f64>(&plan).algorithm(), Algorithm::Im2colGemm, "{set}");
        let limited = Options::default().kernels(set).max_workspace_bytes(0);
        let plan = Conv2dPlan::new(conv(), limited).expect("one needs nothing");
        assert_eq!(packed::<f64>(&plan).algorithm(), plan.algorithm(), "{set}, no workspace");
        // Without a pixel there is nothing to walk over.
        let empty =
            asked(Conv2d::new(2, 0, 0, 3, Window::square(3).pad(2)), Algorithm::Direct, set);
        assert_eq!(packed::<f32>(&empty).algorithm(), Algorithm::Im2colGemm, "{set}");
        let naive = asked(*empty.desc(), Algorithm::Naive, set);
        assert_eq!(packed::<f32>(&naive).algorithm(), Algorithm::Naive, "{set}");
    }
}

/// An algorithm that does not pool in passing takes the output of an image for each thread besides.
#[test]
fn the_workspace_of_a_pool() {
    /// What a workspace has to align what it lends.
    const SPARE: usize = 64;
    let dilated = Conv2d::new(17, 16, 14, 20, Window::square(3).pad(1).dilation(2));
    for set in KernelSet::available() {
        for (conv, algorithm) in [
            (conv(), Algorithm::Naive),
            (conv(), Algorithm::Im2colGemm),
            (conv(), Algorithm::Direct),
            (conv(), Algorithm::Depthwise),
            (conv(), Algorithm::Winograd),
            (dilated, Algorithm::Winograd),
            (dilated, Algorithm::Direct),
        ] {
            let plan = asked(conv, algorithm, set);
            let image = 4 * plan.output_shape(1).expect("a small one").image_len();
            for threads in [1, 3] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let [most, without] = pool
                    .install(|| [plan.max_relu_pool_workspace_bytes(), plan.max_workspace_bytes()]);
                let besides = most - without;
                let itself = match algorithm {
                    Algorithm::Im2colGemm => false,
                    Algorithm::Winograd => conv == self::conv(),
                    _ => true,
                };
                let expected = if itself { 0 } else { threads * image };
                let range = expected..=expected + if itself { 0 } else { 4 * SPARE };
                assert!(
                    range.contains(&besides),
                    "{besides}, {range:?}: {threads} threads, {}",
                    plan.describe()
                );
            }
        }
    }
}

/// Images are computed before they are pooled as many at a time as there are threads, unless they are large, or the
/// limit is too low for that.
#[test]
fn large_images_are_pooled_one_by_one() {
    let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    let besides = |conv: Conv2d, limit: Option<usize>| {
        let mut options = Options::with_algorithm(Algorithm::Im2colGemm);
        options.max_workspace_bytes = limit;
        pool.install(|| {
            let plan = Conv2dPlan::new(conv, options).expect("it serves");
            (plan.max_relu_pool_workspace_bytes(), plan.max_workspace_bytes())
        })
    };
    let images = |conv: Conv2d, limit: Option<usize>| {
        let (with, without) = besides(conv, limit);
        let Conv2d { in_h, in_w, out_channels, .. } = conv;
        (with - without) / (in_h * in_w * out_channels * 4)
    };
    let small = conv();
    assert_eq!(images(small, None), 3);
    let (most, _) = besides(small, None);
    assert_eq!(images(small, Some(most)), 3);
    assert_eq!(images(small, Some(most - 1)), 1);
    // The outputs of three have a little more and a little less than 2^19 elements.
    assert_eq!(images(Conv2d::new(2, 228, 256, 3, SAME), None), 1);
    assert_eq!(images(Conv2d::new(2, 227, 256, 3, SAME), None), 3);
}

/// A limit may allow a forward pass, but not a pool at its end; one byte less than it takes is too little.
#[test]
fn a_limit_to_the_workspace_holds_for_pools() {
    let conv = Conv2d::new(2, 5, 4, 3, SAME);
    let common::Inputs { x, w, .. } = Case::new(1, conv).inputs::<f32>();
    let one = ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let pooled = |limit: Option<usize>| {
        let mut options = Options::with_algorithm(Algorithm::Im2colGemm);
        options.max_workspace_bytes = limit;
        one.install(|| {
            let plan = Conv2dPlan::new(conv, options).expect("it serves");
            let mut y = Tensor4::zeros(plan.pooled_shape(1).expect("a small one"));
            let (y, mut workspace) = (y.view_mut(), Workspace::new());
            plan.forward_relu_pool_into(x.view(), w.view(), None, y, None, &mut workspace)
                .map(|()| plan.max_relu_pool_workspace_bytes())
        })
    };
    let most = pooled(None).expect("without a limit");
    assert_eq!(pooled(Some(most)), Ok(most));
    let refused = pooled(Some(most - 1)).expect_err("too little");
    assert!(
        matches!(refused, ConvError::Workspace { needed, max, .. } if (needed, max) == (most, most - 1)),
        "{refused}"
    );
}

/// The gradient by the input runs by what is asked for, the mirrored convolution of each phase of a stride.
#[test]
fn the_gradient_by_the_input_is_what_was_asked_for() {
    let windows =
        [SAME, SAME.stride(2), Window::square(3).dilation(2), Window::square(4).stride(2)];
    for set in KernelSet::available() {
        for window in windows {
            let conv = Conv2d::new(17, 12, 14, 20, window);
            for algorithm in algorithms() {
                let plan = asked(conv, algorithm, set);
                assert_eq!(plan.backward_data_algorithm(), algorithm, "{}", plan.describe());
                let limited = Options::with_algorithm(algorithm).kernels(set);
                let limited = limited.max_workspace_bytes(1 << 30);
                let plan = Conv2dPlan::new(conv, limited).expect("it serves");
                assert_eq!(
                    plan.backward_data_algorithm(),
                    algorithm,
                    "limited: {}",
                    plan.describe()
                );
                let needs = plan.max_backward_data_workspace_bytes();
                assert_eq!(needs > 0, algorithm != Algorithm::Naive, "{}", plan.describe());
            }
        }
        // Nothing to walk over: sums of nothing, which products know.
        for nothing in [Conv2d::new(3, 5, 5, 0, SAME), Conv2d::new(0, 5, 5, 2, SAME)] {
            let plan = asked(nothing, Algorithm::Direct, set);
            assert_eq!(plan.backward_data_algorithm(), Algorithm::Im2colGemm);
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
}

/// Each pass takes at most as many bytes as its plan says: as many, where a few images take all of them.
#[test]
fn passes_take_what_their_plans_say() {
    let one = ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let windows = [SAME, SAME.stride(2), SAME.dilation(2), Window::square(5).pad(2).stride(2)];
    for set in KernelSet::available() {
        for (window, algorithm) in windows.iter().flat_map(|&w| algorithms().map(move |a| (w, a))) {
            let conv = Conv2d::new(5, 8, 7, 9, window);
            let options = Options::with_algorithm(algorithm).kernels(set);
            let Ok(plan) = Conv2dPlan::new(conv, options) else { continue };
            one.install(|| check_workspace(&plan));
        }
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
        let all = match plan.algorithm() {
            Algorithm::Im2colGemm => pass != "weights",
            Algorithm::Direct | Algorithm::Depthwise => pass == "pooled",
            _ => false,
        };
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
