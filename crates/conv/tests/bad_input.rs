//! What does not fit is a typed error that names the numbers, and nothing is written.

mod common;

use common::plan;
use conv::{
    Algorithm, Conv2d, Conv2dPlan, ConvError, Epilogue, KernelSet, Numerics, Options, Update,
    Workspace,
};
use im2col::{GeometryError, Padding, Window};
use tensor4::{Shape4, Tensor4, TensorError};
use testkit::{shape, tensor};

/// The error of planning, the same for every algorithm.
fn refused(conv: Conv2d) -> ConvError {
    let error = |&algorithm: &Algorithm| {
        Conv2dPlan::new(conv, Options::with_algorithm(algorithm)).expect_err("it does not fit")
    };
    let mut errors: Vec<_> = Algorithm::ALL.iter().map(error).collect();
    errors.dedup();
    let [error] = &errors[..] else { panic!("the algorithms differ: {errors:?}") };
    error.clone()
}

#[track_caller]
fn assert_message(error: &impl ToString, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in {message:?}");
    }
}

#[test]
fn groups_that_do_not_divide() {
    let window = Window::square(3);
    for (groups, in_channels, out_channels) in
        [(0, 4, 6), (0, 0, 0), (3, 4, 6), (4, 4, 6), (usize::MAX, 4, 6), (2, 3, 3), (5, 0, 6)]
    {
        let error = refused(Conv2d::new(in_channels, 5, 5, out_channels, window).groups(groups));
        assert_eq!(error, ConvError::Groups { groups, in_channels, out_channels });
        let message = format!(
            "conv2d: {in_channels} input and {out_channels} output channels can't be split into \
             {groups} groups of equal size"
        );
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn zero_kernel_stride_or_dilation() {
    let w = Window::square(3);
    for (window, what, h, w) in [
        (Window::new(0, 3), "kernel", 0, 3),
        (Window::new(3, 0), "kernel", 3, 0),
        (w.stride(0), "stride", 0, 0),
        (w.strides(2, 0), "stride", 2, 0),
        (w.dilation(0), "dilation", 0, 0),
        (w.dilations(0, 4), "dilation", 0, 4),
    ] {
        let error = refused(Conv2d::new(2, 5, 5, 4, window));
        assert_eq!(error, ConvError::Geometry(GeometryError::Zero { what, h, w }));
        assert_message(&error, &["conv2d: ", what, &format!("{h}x{w}")]);
    }
}

#[test]
fn a_kernel_larger_than_the_padded_input() {
    let padding = Padding { top: 2, left: 0, bottom: 0, right: 1 };
    for (window, dimension, parts) in [
        (Window::new(8, 3).padding(padding), "height", ["height 8", "covers 8", "7 (5 + 2 + 0)"]),
        (Window::new(3, 8).padding(padding), "width", ["width 8", "covers 8", "7 (6 + 0 + 1)"]),
        (Window::square(3).dilations(1, 3), "width", ["dilation 3", "covers 7", "6 (6 + 0 + 0)"]),
    ] {
        // The error names what the caller gave, with groups as well.
        let error = refused(Conv2d::new(4, 5, 6, 4, window).groups(2));
        let ConvError::Geometry(GeometryError::KernelTooLarge { dimension: actual, .. }) = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*actual, dimension);
        assert_message(&error, &parts);
        assert_message(&error, &["conv2d: "]);
    }
}

#[test]
fn sizes_that_overflow() {
    const MAX: usize = usize::MAX;
    const HALF: usize = MAX / 2;
    let (one, three) = (Window::square(1), Window::square(3));
    let number = MAX.to_string();
    for (what, conv) in [
        ("channels", Conv2d::new(MAX, 5, 5, 1, three)),
        ("channels, in as many groups", Conv2d::new(MAX, 5, 5, MAX, three).groups(MAX)),
        ("rows", Conv2d::new(1, MAX, 5, 1, three)),
        ("columns", Conv2d::new(1, 5, MAX, 1, three)),
        ("rows and columns", Conv2d::new(0, MAX, MAX, 0, one)),
        ("output channels", Conv2d::new(1, 5, 5, MAX, three)),
        ("kernel rows", Conv2d::new(1, 5, 5, 1, Window::new(MAX, 1).pad(1))),
        ("padding", Conv2d::new(1, 5, 5, 1, three.pad(MAX))),
        ("dilation", Conv2d::new(1, 5, 5, 1, three.dilation(MAX))),
        ("everything", Conv2d::new(MAX, MAX, MAX, MAX, Window::square(MAX).pad(MAX))),
    ] {
        let error = refused(conv);
        let fits = matches!(
            error,
            ConvError::Geometry(
                GeometryError::TooLarge { .. } | GeometryError::KernelTooLarge { .. }
            ) | ConvError::Tensor(TensorError::TooLarge { .. })
        );
        assert!(fits, "{what}: {error:?}");
        assert_message(&error, &["conv2d: ", &number]);
    }
    // A stride beyond the image is legal: one pixel comes out.
    let wide = plan(Conv2d::new(1, 5, 5, 1, three.stride(MAX)), Algorithm::default());
    assert_eq!(wide.output_shape(1).unwrap(), shape(1, 1, 1, 1));

    // Each size alone fits, their product does not.
    for (what, conv) in [
        ("input", Conv2d::new(1 << 30, 1 << 20, 1 << 20, 1, one)),
        ("columns", Conv2d::new(1 << 20, 1 << 20, 1 << 16, 1, Window::square(9).pad(4))),
        ("weight", Conv2d::new(1 << 30, 5, 5, 1 << 30, three)),
        ("output", Conv2d::new(1, 1 << 20, 1 << 20, 1 << 30, one)),
        ("output of padding alone", Conv2d::new(1, 1, 1, HALF, one.pad(1 << 10))),
    ] {
        let error = refused(conv);
        let fits = matches!(
            error,
            ConvError::Geometry(GeometryError::TooLarge { .. })
                | ConvError::Tensor(TensorError::TooLarge { .. })
        );
        assert!(fits, "{what}: {error:?}");
    }

    let plan = plan(Conv2d::new(2, 5, 5, 3, three), Algorithm::default());
    let too_large = |c, h, w| ConvError::Tensor(TensorError::TooLarge { n: HALF, c, h, w });
    assert_eq!(plan.input_shape(HALF), Err(too_large(2, 5, 5)));
    assert_eq!(plan.output_shape(HALF), Err(too_large(3, 3, 3)));
    assert_eq!(plan.multiply_adds(MAX), u64::MAX, "saturates");
}

/// One call, with shapes and lengths of its own for each argument.
#[derive(Clone, Copy)]
struct Arguments {
    x: [usize; 4],
    w: [usize; 4],
    y: [usize; 4],
    bias: usize,
}

/// Runs a direction of a plan for (N, 4, 6, 5) -> (N, 6, 4, 3) with two groups, and returns its
/// error. Fails if it wrote anything.
fn call(algorithm: Algorithm, direction: &str, arguments: Arguments) -> Result<(), ConvError> {
    let conv = Conv2d::new(4, 6, 5, 6, Window::square(3)).groups(2);
    let plan = plan(conv, algorithm);
    let make = |[n, c, h, w]: [usize; 4]| tensor::<f32>(shape(n, c, h, w), 1);
    let (mut x, mut w, mut y) = (make(arguments.x), make(arguments.w), make(arguments.y));
    let mut bias = vec![0.25; arguments.bias];
    let before = (x.clone(), w.clone(), y.clone(), bias.clone());
    let mut workspace = Workspace::new();
    let result = match direction {
        "forward" => {
            let y = y.view_mut();
            plan.forward_into(x.view(), w.view(), Some(&bias), y, &mut workspace)
        }
        "backward_data" => {
            plan.backward_data_into(w.view(), y.view(), x.view_mut(), &mut workspace)
        }
        "backward_weights" => {
            let (db, update) = (Some(&mut bias[..]), Update::Overwrite);
            plan.backward_weights_into(x.view(), y.view(), w.view_mut(), db, update, &mut workspace)
        }
        _ => panic!("no direction {direction}"),
    };
    if result.is_err() {
        assert!(before == (x, w, y, bias), "{direction} wrote despite {result:?}");
    }
    result
}

const FITTING: Arguments = Arguments { x: [2, 4, 6, 5], w: [6, 2, 3, 3], y: [2, 6, 4, 3], bias: 6 };

#[test]
fn tensors_of_another_shape() {
    let [sx, sw, sy] = [FITTING.x, FITTING.w, FITTING.y];
    // For each direction: what x, w and y are called there, in the order in which they stand in
    // `Arguments`.
    for (direction, names) in [
        ("forward", ["the input", "the weight", "the output"]),
        ("backward_data", ["dx", "the weight", "dy"]),
        ("backward_weights", ["the input", "dw", "dy"]),
    ] {
        let operation = format!("conv2d {direction}");
        let wrong = |index: usize, i: usize, by: fn(usize) -> usize| {
            let mut all = [sx, sw, sy];
            all[index][i] = by(all[index][i]);
            let [x, w, y] = all;
            (Arguments { x, w, y, ..FITTING }, all[index])
        };
        for &algorithm in Algorithm::ALL {
            assert_eq!(call(algorithm, direction, FITTING), Ok(()));
            for index in 0..3 {
                for i in 0..4 {
                    // A wrong batch size can only be seen against the other tensor's.
                    let names_batch = i == 0 && index != 1;
                    for by in [|s| s + 1, |s| s - 1, |_| 0_usize] {
                        let (arguments, given) = wrong(index, i, by);
                        let error = call(algorithm, direction, arguments).unwrap_err();
                        let ConvError::Shape { operation: o, what, actual, expected } = error
                        else {
                            panic!("{direction}: {error:?}")
                        };
                        assert_eq!(o, operation);
                        let message = error.to_string();
                        let parts = [o, what, &format!("{actual}"), &format!("expects {expected}")];
                        assert_message(&message, &parts);
                        if !names_batch {
                            assert_eq!(what, names[index], "{message}");
                            assert_eq!(actual.dims(), given, "{message}");
                            assert_eq!(expected.dims(), [sx, sw, sy][index], "{message}");
                        } else {
                            let involved = [names[0], names[2]].contains(&what);
                            assert!(involved && actual.n() != expected.n(), "{message}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_in_full() {
    let arguments = Arguments { x: [2, 3, 6, 5], ..FITTING };
    let error = call(Algorithm::default(), "forward", arguments).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d forward: the input has the shape (2, 3, 6, 5), the plan expects (2, 4, 6, 5)"
    );
    let error =
        call(Algorithm::default(), "forward", Arguments { bias: 5, ..FITTING }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d forward: the bias has 5 values, there are 6 output channels"
    );
}

#[test]
fn a_bias_of_another_length() {
    for &algorithm in Algorithm::ALL {
        for (direction, operation, what) in [
            ("forward", "conv2d forward", "the bias"),
            ("backward_weights", "conv2d backward_weights", "db"),
        ] {
            for actual in [0, 1, 5, 7] {
                let error = call(algorithm, direction, Arguments { bias: actual, ..FITTING });
                let expected = ConvError::Bias { operation, what, actual, out_channels: 6 };
                assert_eq!(error, Err(expected));
            }
        }
    }
}

/// The allocating call checks before it allocates: this output would have 2^53 elements.
#[test]
fn a_wrong_input_of_very_many_images_allocates_nothing() {
    let n = 1 << 40;
    let conv = Conv2d::new(3, 32, 32, 8, Window::square(3).pad(1));
    for &algorithm in Algorithm::ALL {
        let plan = plan(conv, algorithm);
        let x = Tensor4::<f32>::zeros(Shape4::new(n, 0, 32, 32).unwrap());
        let w = tensor::<f32>(plan.weight_shape(), 1);
        let mut workspace = Workspace::new();
        let error = plan.forward(x.view(), w.view(), None, &mut workspace).unwrap_err();
        let ConvError::Shape { what, actual, expected, .. } = error else { panic!("{error:?}") };
        assert_eq!((what, actual), ("the input", x.shape()));
        assert_eq!(expected, plan.input_shape(n).unwrap());
        assert_eq!(workspace.bytes(), 0);
    }
}

#[test]
fn an_algorithm_that_does_not_serve_says_what_it_needs() {
    let refused = |conv, options| Conv2dPlan::new(conv, options).expect_err("not served");
    let wide = Conv2d::new(3, 20, 20, 4, Window::square(11).stride(2));
    let error = refused(wide, Options::with_algorithm(Algorithm::Winograd));
    assert_message(&error, &["winograd", "2 to 5 strides", "this one is 11x11 with stride 2x2"]);
    let strict = Options::with_algorithm(Algorithm::Winograd).numerics(Numerics::Strict);
    let error = refused(Conv2d::new(3, 20, 20, 4, Window::square(5)), strict);
    assert_message(&error, &["winograd", "2 to 3 strides", "this one is 5x5 with stride 1x1"]);

    let same = Conv2d::new(57, 20, 20, 4, Window::square(3).pad(1));
    let error = refused(same, Options::with_algorithm(Algorithm::Depthwise));
    assert_message(&error, &["depthwise", "512", "these have 513"]);
}

#[test]
fn direct_is_refused_for_kernels_of_too_many_columns() {
    let plan = |columns, algorithm| {
        let conv = Conv2d::new(600, 1, 300, 1, Window::new(1, columns));
        Conv2dPlan::new(conv, Options::with_algorithm(algorithm))
    };
    assert!(plan(256, Algorithm::Direct).is_ok());
    let error = plan(257, Algorithm::Direct).expect_err("one more than it takes");
    assert_message(&error, &["direct", "up to 256 columns", "257"]);
    let auto = plan(257, Algorithm::Auto).expect("another serves");
    assert_eq!(auto.algorithm(), Algorithm::Im2colGemm);
}

#[test]
fn kernels_that_the_cpu_lacks() {
    let error = KernelSet::named("sse9").expect_err("there is no such set");
    assert_message(&error, &["\"sse9\"", "scalar"]);
    let lacking = KernelSet::ALL.iter().find(|set| !set.is_available());
    // No CPU has them all: NEON and AVX exclude each other.
    let lacking = *lacking.expect("a set that this CPU lacks");
    let conv = Conv2d::new(3, 20, 20, 4, Window::square(3));
    let error = Conv2dPlan::new(conv, Options::default().kernels(lacking)).expect_err("lacking");
    assert_message(&error, &[lacking.name(), "scalar"]);
}

#[test]
fn weights_packed_for_another_plan() {
    let conv = Conv2d::new(4, 9, 9, 6, Window::square(3).pad(1));
    let [direct, unfolding] = [Algorithm::Direct, Algorithm::Im2colGemm].map(|a| plan(conv, a));
    let w = tensor::<f32>(direct.weight_shape(), 1);
    let packed = unfolding.pack_weights(w.view()).unwrap();
    let x = tensor::<f32>(direct.input_shape(1).unwrap(), 2);
    let mut y = Tensor4::zeros(direct.output_shape(1).unwrap());
    let (epilogue, mut workspace) = (Epilogue::None, Workspace::new());
    let error = direct
        .forward_packed_into(x.view(), &packed, None, epilogue, y.view_mut(), &mut workspace)
        .unwrap_err();
    assert_message(&error, &["packed for", "Im2colGemm", "Direct"]);

    let wrong = tensor::<f32>(shape(6, 3, 3, 3), 1);
    let error = direct.pack_weights(wrong.view()).unwrap_err();
    assert_message(&error, &["pack_weights", "(6, 3, 3, 3)", "expects (6, 4, 3, 3)"]);
}
