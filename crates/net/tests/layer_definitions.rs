//! Layers against their definitions, written out in loops.

mod common;

use common::{bits, one_layer, run};
use im2col::{Padding, Window};
use net::layers::PadMode;
use net::{Mode, Sequential, Tape, layers};
use proptest::prelude::*;
use tensor4::Tensor4;
use testkit::{assert_close, shape, tensor};

/// Every element over the whole sum of its neighbours.
fn naive_lrn(x: &Tensor4<f64>, size: usize, [alpha, beta, k]: [f64; 3]) -> Vec<f64> {
    let [n, channels, h, w] = x.dims();
    let mut y = Vec::new();
    for (i, c) in (0..n).flat_map(|i| (0..channels).map(move |c| (i, c))) {
        for place in 0..h * w {
            let first = c as isize - (size / 2) as isize;
            let neighbours = first..first + size as isize;
            let sum: f64 = neighbours
                .filter_map(|c| usize::try_from(c).ok().filter(|&c| c < channels))
                .map(|c| x.plane(i, c)[place].powi(2))
                .sum();
            y.push(x.plane(i, c)[place] / (k + alpha / size as f64 * sum).powf(beta));
        }
    }
    y
}

/// Where the place `at` of a padded axis looks.
fn source(mode: PadMode, at: isize, len: isize) -> Option<usize> {
    let inside = |at: isize| usize::try_from(at).ok().filter(|&at| at < len as usize);
    match mode {
        PadMode::Reflect if at < 0 => inside(-at),
        PadMode::Reflect if at >= len => inside(2 * len - 2 - at),
        PadMode::Replicate => inside(at.clamp(0, len - 1)),
        PadMode::Circular => inside(at.rem_euclid(len)),
        _ => inside(at),
    }
}

fn naive_pad(x: &Tensor4<f64>, padding: Padding, mode: PadMode) -> Vec<f64> {
    let [n, c, h, w] = x.dims();
    let Padding { top, left, bottom, right } = padding;
    let mut y = Vec::new();
    for plane in 0..n * c {
        for row in -(top as isize)..(h + bottom) as isize {
            for col in -(left as isize)..(w + right) as isize {
                let at = (source(mode, row, h as isize), source(mode, col, w as isize));
                y.push(match at {
                    (Some(row), Some(col)) => x.plane(plane / c, plane % c)[row * w + col],
                    _ => 0.25,
                });
            }
        }
    }
    y
}

fn predict(net: &Sequential<f64>, x: &Tensor4<f64>) -> Tensor4<f64> {
    net.predict(x.view()).expect("x fits")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::cases(48)))]

    #[test]
    fn a_response_norm_is_as_defined(
        dims in (1..4_usize, 1..9_usize, 1..6_usize, 1..6_usize),
        size in 1..8_usize,
        settings in (0.0..3.0_f64, prop_oneof![Just(0.75), 0.0..2.0_f64], 0.5..3.0_f64),
        seed: u64,
    ) {
        let ((n, c, h, w), (alpha, beta, k)) = (dims, settings);
        let x: Tensor4<f64> = tensor(shape(n, c, h, w), seed);
        let layer = layers::local_response_norm(size).alpha(alpha).beta(beta).k(k);
        let net = one_layer::<f64>(x.shape(), layer);
        let expected = naive_lrn(&x, size, [alpha, beta, k]);
        assert_close("y", predict(&net, &x).data(), &expected, 1e-14);
    }

    #[test]
    fn padding_is_as_defined(
        dims in (1..4_usize, 1..4_usize, 1..7_usize, 1..7_usize),
        pads in prop::array::uniform4(0..9_usize),
        mode in prop::sample::select(vec![
            PadMode::Constant(0.25), PadMode::Reflect, PadMode::Replicate, PadMode::Circular,
        ]),
        seed: u64,
    ) {
        let (n, c, h, w) = dims;
        let within = |pad: usize, len: usize| match mode {
            PadMode::Reflect => pad % len,
            PadMode::Circular => pad % (len + 1),
            _ => pad,
        };
        let [top, left, bottom, right] = pads;
        let (top, bottom) = (within(top, h), within(bottom, h));
        let (left, right) = (within(left, w), within(right, w));
        let padding = Padding { top, left, bottom, right };
        let x: Tensor4<f64> = tensor(shape(n, c, h, w), seed);
        let net = one_layer::<f64>(x.shape(), layers::pad2d(padding, mode));
        let y = predict(&net, &x);
        prop_assert_eq!(y.dims(), [n, c, top + h + bottom, left + w + right]);
        prop_assert_eq!(y.data(), naive_pad(&x, padding, mode));
    }

    #[test]
    fn same_convolutions_pad_as_their_window_says(
        dims in (1..3_usize, 1..10_usize, 1..10_usize),
        kernel in (1..5_usize, 1..5_usize),
        stride in 1..4_usize,
        seed: u64,
    ) {
        let (c, h, w) = dims;
        // A padding of the window itself does not count.
        let window = Window::new(kernel.0, kernel.1).stride(stride).pad(7);
        let x: Tensor4<f64> = tensor(shape(2, c, h, w), seed);
        for (layer, window) in [
            (layers::conv2d(3, window).same(), window.same_upper(h, w)),
            (layers::conv2d(3, window).same_lower(), window.same_lower(h, w)),
        ] {
            let net = one_layer::<f64>(x.shape(), layer);
            let y = predict(&net, &x);
            prop_assert_eq!(y.dims(), [2, 3, h.div_ceil(stride), w.div_ceil(stride)]);
            let expected = predict(&one_layer(x.shape(), layers::conv2d(3, window)), &x);
            prop_assert_eq!(bits(y.data()), bits(expected.data()));
        }
    }

    #[test]
    fn a_batch_norm_leaves_mean_0_and_variance_1(
        dims in (2..6_usize, 1..5_usize, 1..6_usize, 1..6_usize),
        seed: u64,
    ) {
        let (n, c, h, w) = dims;
        let x: Tensor4<f64> = tensor::<f64>(shape(n, c, h, w), seed).map(|x| 3.0 * x + 20.0);
        let net = one_layer::<f64>(x.shape(), layers::batch_norm2d().eps(1e-12));
        let mut tape = Tape::new();
        let y = net.forward(x.view(), &mut tape, Mode::Train { step: 1 }).unwrap().to_tensor();
        let values = (n * h * w) as f64;
        for c in 0..c {
            let plane = |i: usize| y.plane(i, c).iter();
            let mean = (0..n).flat_map(plane).sum::<f64>() / values;
            let variance = (0..n).flat_map(plane).map(|y| y * y).sum::<f64>() / values;
            prop_assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
        }
    }
}

#[test]
fn the_running_statistics_become_those_of_the_data() {
    let x: Tensor4<f64> = tensor::<f64>(shape(8, 2, 5, 5), 1).map(|x| 2.0 * x + 5.0);
    let mut net = one_layer::<f64>(x.shape(), layers::batch_norm2d());
    let mut tape = Tape::new();
    for _ in 0..300 {
        run(&mut net, &x, &x, &mut tape);
    }
    let trained = net.forward(x.view(), &mut tape, Mode::Train { step: 1 }).unwrap().to_tensor();
    // The running variance has one value less in its divisor.
    let factor = (199.0_f64 / 200.0).sqrt();
    let expected = trained.map(|y| y * factor);
    assert_close("evaluation", predict(&net, &x).data(), expected.data(), 1e-6);
    // An evaluation moves nothing.
    assert_eq!(predict(&net, &x), predict(&net, &x));
}

#[test]
fn a_table_of_all_connections_is_a_convolution() {
    let window = Window::new(3, 2);
    let x: Tensor4<f64> = tensor(shape(3, 4, 6, 5), 1);
    let dy: Tensor4<f64> = tensor(shape(3, 5, 4, 4), 2);
    let mut table = one_layer::<f64>(x.shape(), layers::table_conv2d(vec![0..4; 5], window));
    let mut full = one_layer::<f64>(x.shape(), layers::conv2d(5, window));
    let weights = table.parameters().map(|p| p.value().data().to_vec()).collect::<Vec<_>>();
    for (parameter, weights) in full.parameters_mut().zip(&weights) {
        parameter.value_mut().copy_from_slice(weights);
    }
    let (y, dx) = run(&mut table, &x, &dy, &mut Tape::new());
    let (full_y, full_dx) = run(&mut full, &x, &dy, &mut Tape::new());
    assert_eq!((bits(y.data()), bits(dx.data())), (bits(full_y.data()), bits(full_dx.data())));
    for (ours, theirs) in table.parameters().zip(full.parameters()) {
        assert_eq!(bits(ours.grad().data()), bits(theirs.grad().data()), "{}", ours.name());
    }
}
