//! What holds for every network, whatever its weights and images.

mod common;

use common::{bits, gradient_bits, one_layer, run};
use conv::Algorithm;
use im2col::{Padding, Window};
use net::layers::PadMode;
use net::{Init, Mode, NetScalar, Sequential, Tape, layers};
use proptest::prelude::*;
use tensor4::{Shape4, Tensor4};
use testkit::{assert_close, dot, shape, tensor, values};

/// A network of all kinds of layers, for images of at least 6x6 pixels.
fn network<T: NetScalar>([c, h, w]: [usize; 3], seed: u64) -> Sequential<T> {
    Sequential::builder(c, h, w)
        .init(Init::XavierUniform)
        .add(layers::conv2d(4, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::batch_norm2d())
        .add(layers::local_response_norm(3))
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::pad2d(Padding::uniform(1), PadMode::Circular))
        .add(layers::subsample2d(Window::square(3)))
        .add(layers::leaky_relu(0.1))
        .add(layers::conv2d(6, Window::square(2).pad(1)).groups(2))
        .add(layers::sigmoid())
        .add(layers::avg_pool2d(Window::square(3).stride(2).pad(1)))
        .add(layers::max_pool2d(Window::square(2)))
        .add(layers::flatten())
        .add(layers::dropout(0.5))
        .add(layers::affine(9))
        .add(layers::tanh())
        .add(layers::affine(5))
        .add(layers::log_softmax())
        .build(seed)
        .expect("the layers fit")
}

/// The definition: of every window the first NaN, or else the first of the largest pixels. Gives
/// the maxima and, for each, where in its plane it stands.
fn naive_max_pool(x: &Tensor4<f64>, window: Window) -> (Vec<f64>, Vec<usize>) {
    let [n, c, h, w] = x.dims();
    let Window { kernel_h, kernel_w, stride_h, stride_w, padding, .. } = window;
    let out =
        |len: usize, pads: usize, kernel: usize, stride: usize| (len + pads - kernel) / stride + 1;
    let out_h = out(h, padding.top + padding.bottom, kernel_h, stride_h);
    let out_w = out(w, padding.left + padding.right, kernel_w, stride_w);
    let (mut maxima, mut places) = (Vec::new(), Vec::new());
    for plane in 0..n * c {
        for oh in 0..out_h {
            for ow in 0..out_w {
                let mut best: Option<(f64, usize)> = None;
                for (kh, kw) in (0..kernel_h).flat_map(|kh| (0..kernel_w).map(move |kw| (kh, kw))) {
                    let row = (oh * stride_h + kh).checked_sub(padding.top).filter(|&row| row < h);
                    let col = (ow * stride_w + kw).checked_sub(padding.left).filter(|&col| col < w);
                    let (Some(row), Some(col)) = (row, col) else { continue };
                    let pixel = x.plane(plane / c, plane % c)[row * w + col];
                    let wins = match best {
                        None => true,
                        Some((max, _)) => !max.is_nan() && (pixel.is_nan() || pixel > max),
                    };
                    if wins {
                        best = Some((pixel, row * w + col));
                    }
                }
                let (max, place) = best.expect("every window sees a pixel");
                maxima.push(max);
                places.push(place);
            }
        }
    }
    (maxima, places)
}

/// Values that meet often: ties, both zeros, infinities, NaN.
fn awkward(shape: Shape4, seed: u64) -> Tensor4<f64> {
    const PIXELS: [f64; 8] =
        [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 0.0, -0.0, 1.0, 1.0, -2.0];
    // In half of the tensors nothing but -infinity and NaN, or hardly anything else.
    let kinds = if seed.is_multiple_of(2) { 8.0 } else { 2.2 };
    tensor::<f64>(shape, seed).map(|u| PIXELS[((u + 1.0) / 2.0 * kinds) as usize])
}

fn check_max_pool(x: &Tensor4<f64>, window: Window, seed: u64) {
    let mut net = one_layer(x.shape(), layers::max_pool2d(window));
    let (maxima, places) = naive_max_pool(x, window);
    let mut tape = Tape::new();
    let mode = Mode::Train { step: 1 };
    let y = net.forward(x.view(), &mut tape, mode).expect("x fits").to_tensor();
    let is_nan = |values: &[f64]| values.iter().map(|v| v.is_nan()).collect::<Vec<_>>();
    let numbers =
        |values: &[f64]| values.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>();
    assert_eq!(is_nan(y.data()), is_nan(&maxima), "{window}");
    assert_eq!(bits(&numbers(y.data())), bits(&numbers(&maxima)), "{window}");

    let dy: Tensor4<f64> = tensor(y.shape(), seed);
    let dx = net.backward_to_input(dy.view(), &mut tape).expect("dy fits");
    let [_, _, h, w] = x.dims();
    let mut expected = vec![0.0; x.len()];
    let out_plane = y.shape().plane_len();
    for (i, (&place, &dy)) in places.iter().zip(dy.data()).enumerate() {
        expected[i / out_plane * h * w + place] += dy;
    }
    assert_close("dx", dx.data(), &expected, 1e-15);
}

/// Any window that sees a pixel everywhere.
fn pool_window() -> impl Strategy<Value = Window> {
    let kernel = (1..=4_usize, 1..=4_usize);
    (kernel, 1..=3_usize, 1..=3_usize, 0..4_usize, 0..4_usize, 0..4_usize, 0..4_usize).prop_map(
        |((kernel_h, kernel_w), stride_h, stride_w, top, left, bottom, right)| {
            let padding = Padding {
                top: top % kernel_h,
                left: left % kernel_w,
                bottom: bottom % kernel_h,
                right: right % kernel_w,
            };
            Window::new(kernel_h, kernel_w).strides(stride_h, stride_w).padding(padding)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::cases(32)))]

    #[test]
    fn a_batch_is_evaluated_as_its_images_are(
        n in 1..12_usize,
        input in (1..3_usize, 6..11_usize, 6..11_usize),
        seed: u64,
    ) {
        let (c, h, w) = input;
        let net = network::<f64>([c, h, w], seed);
        let x: Tensor4<f64> = tensor(shape(n, c, h, w), seed);
        let y = net.predict(x.view()).unwrap();
        prop_assert_eq!(y.dims(), [n, 5, 1, 1]);
        for i in 0..n {
            let alone = net.predict(x.view().batch(i..i + 1).unwrap()).unwrap();
            assert_close("one image", alone.data(), y.image(i), 1e-13);
        }
    }

    /// Larger and smaller batches, evaluation and training, and other networks.
    #[test]
    fn nothing_depends_on_what_a_tape_held_before(
        sizes in prop::collection::vec((1..12_usize, 6..10_usize, any::<bool>()), 2..6),
        seed: u64,
    ) {
        let mut used = Tape::recording();
        for (i, (n, h, train)) in sizes.into_iter().enumerate() {
            let seed = seed.wrapping_add(i as u64);
            let mut net = network::<f32>([2, h, 7], seed);
            let x: Tensor4<f32> = tensor(shape(n, 2, h, 7), seed);
            if train {
                let dy: Tensor4<f32> = tensor(shape(n, 5, 1, 1), seed);
                let (y, dx) = run(&mut net, &x, &dy, &mut used);
                let gradients = gradient_bits(&net);
                let (fresh_y, fresh_dx) = run(&mut net, &x, &dy, &mut Tape::new());
                prop_assert_eq!(bits(y.data()), bits(fresh_y.data()));
                prop_assert_eq!(bits(dx.data()), bits(fresh_dx.data()));
                prop_assert_eq!(gradients, gradient_bits(&net));
            } else {
                let y = net.forward(x.view(), &mut used, Mode::Eval).unwrap().to_tensor();
                prop_assert_eq!(bits(y.data()), bits(net.predict(x.view()).unwrap().data()));
                for layer in 0..net.layers().len() {
                    prop_assert_eq!(used.output(layer).unwrap().shape().n(), n);
                }
                prop_assert!(used.output(net.layers().len()).is_none());
            }
        }
    }

    #[test]
    fn an_average_pool_is_linear_and_its_backward_pass_the_adjoint(
        window in pool_window(),
        size in (1..4_usize, 1..3_usize, 4..10_usize, 4..10_usize),
        count_include_pad: bool,
        seed: u64,
    ) {
        let (n, c, h, w) = size;
        let layer = layers::avg_pool2d(window).count_include_pad(count_include_pad);
        let mut net = one_layer::<f64>(shape(1, c, h, w), layer);
        let x: Tensor4<f64> = tensor(shape(n, c, h, w), seed);
        let z: Tensor4<f64> = tensor(shape(n, c, h, w), seed.wrapping_add(1));
        let pool = |net: &Sequential<f64>, x: &Tensor4<f64>| net.predict(x.view()).unwrap();
        let (pool_x, pool_z) = (pool(&net, &x), pool(&net, &z));
        let pooled = pool(&net, &x.zip_map(&z, |x, z| 2.0 * x - 3.0 * z).unwrap());
        let expected = pool_x.zip_map(&pool_z, |x, z| 2.0 * x - 3.0 * z).unwrap();
        assert_close("linear", pooled.data(), expected.data(), 1e-13);

        let dy: Tensor4<f64> = tensor(pooled.shape(), seed.wrapping_add(2));
        let (y, dx) = run(&mut net, &x, &dy, &mut Tape::new());
        let (left, right) = (dot(y.data(), dy.data()), dot(x.data(), dx.data()));
        prop_assert!((left - right).abs() <= 1e-12 * y.len() as f64, "{} {}", left, right);
        // A constant image stays as it is wherever no padding is counted.
        if !count_include_pad {
            let constant = pool(&net, &Tensor4::full(x.shape(), 3.0));
            assert_close("constant", constant.data(), &vec![3.0; constant.len()], 1e-14);
        }
    }

    #[test]
    fn a_two_by_two_maximum_pool_is_as_defined(
        size in (1..4_usize, 1..4_usize, 2..12_usize, 2..12_usize),
        seed: u64,
    ) {
        let (n, c, h, w) = size;
        let window = Window::square(2).stride(2);
        check_max_pool(&awkward(shape(n, c, h, w), seed), window, seed);
        check_max_pool(&tensor(shape(n, c, h, w), seed), window, seed);
    }

    #[test]
    fn a_maximum_pool_is_as_defined(
        window in pool_window(),
        size in (1..3_usize, 1..4_usize, 4..10_usize, 4..10_usize),
        seed: u64,
    ) {
        let (n, c, h, w) = size;
        check_max_pool(&awkward(shape(n, c, h, w), seed), window, seed);
        check_max_pool(&tensor(shape(n, c, h, w), seed), window, seed);
    }

    #[test]
    fn dropout_keeps_the_rate_and_the_expectation(rate in 0.0..0.95_f64, seed: u64, step: u64) {
        let side = 40;
        let net = Sequential::<f64>::builder(5, side, side).add(layers::dropout(rate));
        let mut net = net.build(seed).unwrap();
        let x = Tensor4::full(shape(4, 5, side, side), 1.0);
        let mut tape = Tape::new();
        let y = net.forward(x.view(), &mut tape, Mode::Train { step }).unwrap().to_tensor();
        let kept = y.data().iter().filter(|&&y| y != 0.0).count() as f64;
        let scale = 1.0 / (1.0 - rate);
        prop_assert!(y.data().iter().all(|&y| y == 0.0 || y == scale));
        // Six standard deviations: one failure in 10^9.
        let len = y.len() as f64;
        let deviation = (rate * (1.0 - rate) * len).sqrt();
        prop_assert!((kept - (1.0 - rate) * len).abs() <= 6.0 * deviation + 1e-6, "{kept} kept");
        let mean = y.data().iter().sum::<f64>() / len;
        prop_assert!((mean - 1.0).abs() <= 6.0 * deviation * scale / len + 1e-9, "mean {mean}");

        // What was dropped gets no gradient.
        let dx = net.backward_to_input(x.view(), &mut tape).unwrap();
        prop_assert_eq!(dx.data(), y.data());
    }
}

/// What a dropout layer makes of ones at a step.
fn dropped(seed: u64, rate: f64, step: u64) -> Vec<f64> {
    let net = Sequential::<f64>::builder(2, 10, 10).add(layers::dropout(rate)).build(seed);
    let net = net.expect("the rate fits");
    let x = Tensor4::full(shape(3, 2, 10, 10), 1.0);
    let mut tape = Tape::new();
    net.forward(x.view(), &mut tape, Mode::Train { step }).expect("x fits").data().to_vec()
}

#[test]
fn dropout_follows_from_seed_and_step_alone() {
    let mask = dropped(1, 0.5, 7);
    assert_eq!(mask, dropped(1, 0.5, 7));
    let differing = |other: &[f64]| mask.iter().zip(other).filter(|(a, b)| a != b).count();
    for (what, other) in [("step", dropped(1, 0.5, 8)), ("seed", dropped(2, 0.5, 7))] {
        // About half of the 600.
        assert!((200..400).contains(&differing(&other)), "another {what}");
    }
    // Every image and every channel has a mask of its own.
    for plane in mask.chunks_exact(100).skip(1) {
        assert_ne!(plane, &mask[..100]);
    }
}

#[test]
fn two_dropouts_of_a_network_drop_independently() {
    let net = Sequential::<f64>::builder(1, 100, 100)
        .add(layers::dropout(0.5))
        .add(layers::dropout(0.5))
        .build(1)
        .expect("the rates fit");
    let x = Tensor4::full(shape(1, 1, 100, 100), 1.0);
    let mut tape = Tape::new();
    let y = net.forward(x.view(), &mut tape, Mode::Train { step: 1 }).expect("x fits");
    let kept = y.data().iter().filter(|&&y| y == 4.0).count();
    assert!((2200..2800).contains(&kept), "{kept} of 10000 kept, a quarter expected");
}

#[test]
fn dropout_changes_nothing_in_evaluation_or_at_rate_0() {
    let x = Tensor4::from_vec(shape(2, 2, 10, 10), values::<f64>(400, 3)).expect("400 values");
    let mut tape = Tape::new();
    for rate in [0.0, 0.3, 0.9] {
        let net = one_layer::<f64>(x.shape(), layers::dropout(rate));
        assert_eq!(net.predict(x.view()).expect("x fits"), x, "{rate}");
        let y = net.forward(x.view(), &mut tape, Mode::Train { step: 1 }).expect("x fits");
        assert_eq!(y.to_tensor() == x, rate == 0.0, "{rate}");
    }
}

/// NaN is not hidden by a layer: a broken image shows in the output.
#[test]
fn nan_passes_through_every_layer() {
    let mut x: Tensor4<f32> = tensor(shape(2, 1, 8, 8), 1);
    x.data_mut()[64 + 9] = f32::NAN;
    let net = network::<f32>([1, 8, 8], 1);
    let y = net.predict(x.view()).expect("x fits");
    assert!(y.image(0).iter().all(|y| y.is_finite()), "the image without it");
    assert!(y.image(1).iter().all(|y| y.is_nan()), "the image with it");
}

#[test]
fn a_batch_of_no_images() {
    let mut net = network::<f32>([1, 8, 8], 1);
    let x = Tensor4::zeros(shape(0, 1, 8, 8));
    let dy = Tensor4::zeros(shape(0, 5, 1, 1));
    let (y, dx) = run(&mut net, &x, &dy, &mut Tape::new());
    assert_eq!((y.dims(), dx.dims()), ([0, 5, 1, 1], [0, 1, 8, 8]));
    assert!(net.parameters().all(|p| p.grad().data().iter().all(|&g| g == 0.0)));
}

#[test]
fn the_table_of_a_network_is_what_runs() {
    let net = network::<f32>([2, 9, 8], 1);
    let x: Tensor4<f32> = tensor(net.input_shape(), 1);
    let mut tape = Tape::recording();
    net.forward(x.view(), &mut tape, Mode::Eval).expect("x fits");
    let table = net.summary().expect("it was built");
    assert_eq!(table.len(), net.layers().len());
    for (i, line) in table.iter().enumerate() {
        assert_eq!(Some(line.output), tape.output(i).map(|y| y.shape()), "{line:?}");
    }
    let names: Vec<_> = table.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "conv1",
            "relu1",
            "bn1",
            "lrn1",
            "pool1",
            "pad1",
            "subsample1",
            "leakyrelu1",
            "conv2",
            "sigmoid1",
            "pool2",
            "pool3",
            "flatten1",
            "dropout1",
            "affine1",
            "tanh1",
            "affine2",
            "logsoftmax1"
        ]
    );
    assert_eq!(table.iter().map(|line| line.parameters).sum::<usize>(), net.parameter_count());
    // 4 filters over (2, 3, 3) at 9x8 places, and 9 sums of 5 outputs.
    assert_eq!(table[0].multiply_adds, 4 * 2 * 9 * 9 * 8);
    assert_eq!(table[16].multiply_adds, 9 * 5);
}

#[test]
fn a_window_of_the_whole_image_is_a_convolution_still() {
    let window = Window::new(4, 5);
    let build = |algorithm| {
        let conv = layers::conv2d(6, window).algorithm(algorithm);
        let net = Sequential::<f64>::builder(3, 4, 5).add(conv).add(layers::relu());
        net.build(7).expect("the layers fit")
    };
    for n in [1, 2, 5, 33] {
        let (mut fast, mut naive) = (build(Algorithm::Auto), build(Algorithm::Naive));
        assert_eq!(fast.layers()[0].describe(), naive.layers()[0].describe());
        let (x, dy) = (tensor(shape(n, 3, 4, 5), 1), tensor(shape(n, 6, 1, 1), 2));
        let run = |net: &mut Sequential<f64>| {
            let mut tape = Tape::new();
            let y = net.forward(x.view(), &mut tape, Mode::Train { step: 1 }).unwrap().to_tensor();
            (y, net.backward_to_input(dy.view(), &mut tape).unwrap())
        };
        let ((y, dx), (expected_y, expected_dx)) = (run(&mut fast), run(&mut naive));
        assert_eq!(y.shape(), expected_y.shape());
        assert_close("y", y.data(), expected_y.data(), 1e-13);
        assert_close("dx", dx.data(), expected_dx.data(), 1e-13);
        for (fast, naive) in fast.parameters().zip(naive.parameters()) {
            assert_eq!((fast.name(), fast.dims()), (naive.name(), naive.dims()));
            assert_eq!(fast.value().data(), naive.value().data());
            assert_close(fast.name(), fast.grad().data(), naive.grad().data(), 1e-12);
        }
    }
    // As many pixels, but no such images.
    let net = build(Algorithm::Auto);
    assert!(net.layers()[0].output_shape(shape(2, 3, 5, 4)).is_err());
    assert!(net.layers()[0].output_shape(shape(2, 60, 1, 1)).is_err());
}
