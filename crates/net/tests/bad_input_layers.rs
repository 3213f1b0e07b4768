//! Errors of padding, normalisations, tables of connections and label smoothing.

mod common;

use common::one_layer;
use im2col::{GeometryError, Padding, Window};
use net::layers::PadMode;
use net::{
    LayerSpec, Misfit, Mode, NetError, Rule, Sequential, SoftmaxCrossEntropy, State, Tape,
    TrainOptions, Trainer, layers,
};
use tensor4::{Tensor4, TensorError};
use testkit::{shape, tensor};

/// Why the layer does not take images of (3, 5, 4), and what the error says.
#[track_caller]
fn misfit(layer: impl LayerSpec<f32> + 'static) -> (Misfit, String) {
    let net = Sequential::builder(3, 5, 4).add(layer).build(1);
    let error = net.expect_err("the layer does not fit");
    let message = error.to_string();
    let NetError::Layer { reason, .. } = error else { panic!("{message}") };
    (*reason, message)
}

#[test]
fn more_padding_than_the_image_has_pixels() {
    let sides = |pad: usize| {
        let none = Padding::default();
        [
            ("above", Padding { top: pad, ..none }, 5),
            ("below", Padding { bottom: pad, ..none }, 5),
            ("left", Padding { left: pad, ..none }, 4),
            ("right", Padding { right: pad, ..none }, 4),
        ]
    };
    for (mode, name, more) in [(PadMode::Reflect, "reflect", 0), (PadMode::Circular, "circular", 1)]
    {
        for pad in [5 + more, 100, usize::MAX] {
            for (side, padding, len) in sides(pad) {
                let (reason, message) = misfit(layers::pad2d(padding, mode));
                let limit = len - 1 + more;
                assert_eq!(reason, Misfit::Padding { mode: name, side, pad, limit }, "{message}");
                assert!(message.contains(&format!("at most {limit} would fit")), "{message}");
            }
        }
        for (_, padding, len) in sides(3 + more) {
            let net = Sequential::<f32>::builder(3, 5, 4).add(layers::pad2d(padding, mode));
            net.build(1).unwrap_or_else(|error| panic!("{len}: {error}"));
        }
    }
    for mode in [PadMode::Constant(1.0), PadMode::Replicate] {
        for (_, padding, _) in sides(usize::MAX) {
            let (reason, message) = misfit(layers::pad2d(padding, mode));
            let too_large = matches!(reason, Misfit::Tensor(TensorError::TooLarge { .. }));
            assert!(too_large, "{message}");
        }
    }
}

/// An image without pixels has nothing to be repeated, but can be surrounded by a constant.
#[test]
fn padding_around_no_pixels() {
    for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        let net = Sequential::<f32>::builder(1, 0, 2).add(layers::pad2d(Padding::uniform(1), mode));
        let error = net.build(1).unwrap_err();
        assert!(error.to_string().contains("at most 0 would fit"), "{error}");
    }
    let layer = layers::pad2d(Padding::uniform(1), PadMode::Constant(2.0));
    let net = Sequential::<f32>::builder(1, 0, 2).add(layer).build(1).expect("a frame");
    let y = net.predict(Tensor4::zeros(shape(2, 1, 0, 2)).view()).expect("no pixels");
    assert_eq!((y.dims(), y.data()), ([2, 1, 2, 4], &[2.0; 16][..]));
}

#[test]
fn tables_of_connections() {
    let table = |table: &[&[usize]]| {
        let table: Vec<Vec<usize>> = table.iter().map(|channels| channels.to_vec()).collect();
        layers::table_conv2d(table, Window::square(2))
    };
    for (layer, expected, words) in [
        (table(&[&[0], &[]]), Misfit::Unconnected { filter: 1 }, "sees no channel"),
        (
            table(&[&[0, 3]]),
            Misfit::NoSuchChannel { filter: 0, channel: 3, channels: 3 },
            "but 3 channels arrive",
        ),
        (
            table(&[&[2], &[1, 0, 1]]),
            Misfit::ConnectedTwice { filter: 1, channel: 1 },
            "channel 1 twice",
        ),
    ] {
        let (reason, message) = misfit(layer);
        assert_eq!(reason, expected, "{message}");
        assert!(message.contains(words), "{message}");
    }
    misfit(layers::table_conv2d([[0]], Window::square(6)));
}

#[test]
fn settings_out_of_range() {
    let lrn = || layers::local_response_norm(5);
    let bn = layers::batch_norm2d;
    for bad in [-0.5, f64::NAN, f64::INFINITY] {
        let check = |(reason, message): (Misfit, String), expected: &str| {
            let Misfit::Setting { setting, value, .. } = reason else { panic!("{message}") };
            assert_eq!((setting, value.to_bits()), (expected, bad.to_bits()), "{message}");
            assert!(message.ends_with("would fit"), "{message}");
        };
        check(misfit(lrn().alpha(bad)), "alpha");
        check(misfit(lrn().beta(bad)), "beta");
        check(misfit(lrn().k(bad)), "k");
        check(misfit(bn().eps(bad)), "eps");
        check(misfit(bn().momentum(bad)), "the momentum");
        let options = TrainOptions::default().label_smoothing(bad);
        let error = Trainer::<f32>::new(options, Rule::sgd(0.1)).unwrap_err();
        assert!(error.to_string().starts_with("the label smoothing is "), "{error}");
        let logits: Tensor4<f32> = tensor(shape(1, 2, 1, 1), 1);
        let error = SoftmaxCrossEntropy.smoothed_loss(bad, logits.view(), &[0], None).unwrap_err();
        assert!(matches!(error, NetError::Setting { .. }), "{error}");
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (reason, message) = misfit(layers::leaky_relu(bad));
        assert!(matches!(reason, Misfit::Setting { .. }), "{message}");
    }
    for layer in [lrn().k(0.0), layers::local_response_norm(0)] {
        let (reason, message) = misfit(layer);
        assert!(matches!(reason, Misfit::Setting { value: 0.0, .. }), "{message}");
    }
    misfit(bn().eps(0.0));
}

#[test]
fn windows_of_subsampling_and_of_pools_in_ceil_mode() {
    for window in [Window::square(6), Window::new(2, 5)] {
        let (reason, message) = misfit(layers::subsample2d(window));
        let too_large = matches!(reason, Misfit::Geometry(GeometryError::KernelTooLarge { .. }));
        assert!(too_large, "{message}");
        misfit(layers::max_pool2d(window).ceil_mode(true));
    }
    for window in [Window::square(usize::MAX), Window::square(0), Window::square(2).stride(0)] {
        misfit(layers::max_pool2d(window).ceil_mode(true));
        misfit(layers::avg_pool2d(window).ceil_mode(true));
        misfit(layers::conv2d(1, window.stride(0)).same());
    }
    // The whole plane, if there is one.
    let none = Sequential::<f32>::builder(2, 0, 3).add(layers::global_avg_pool2d()).build(1);
    assert!(matches!(none, Err(NetError::Layer { .. })));
}

#[test]
fn one_value_per_channel_has_no_variance() {
    let net = one_layer::<f32>(shape(1, 4, 1, 1), layers::batch_norm2d());
    let x: Tensor4<f32> = tensor(shape(1, 4, 1, 1), 1);
    let train = Mode::Train { step: 1 };
    let error = net.forward(x.view(), &mut Tape::new(), train).unwrap_err();
    assert_eq!(error, NetError::NoVariance { layer: "layer".to_owned() });
    assert!(error.to_string().contains("at least 2 images would fit"), "{error}");
    net.predict(x.view()).expect("the running statistics are enough");
    let two: Tensor4<f32> = tensor(shape(2, 4, 1, 1), 1);
    net.forward(two.view(), &mut Tape::new(), train).expect("two images are enough");
}

/// Layers check their tensors themselves, for whoever calls them without a network.
#[test]
fn layers_check_what_they_are_given() {
    fn refused(name: &str, layer: impl LayerSpec<f32> + 'static) {
        let net = one_layer(shape(1, 3, 6, 6), layer);
        let (layer, mut state) = (&net.layers()[0], State::new());
        let x: Tensor4<f32> = tensor(shape(2, 3, 6, 6), 1);
        let y_shape = layer.output_shape(x.shape()).unwrap();
        let mut wrong = Tensor4::zeros(y_shape.with_n(3).unwrap());
        let error = layer.forward(x.view(), wrong.view_mut(), &mut state, Mode::Eval).unwrap_err();
        assert!(matches!(error, NetError::Shape { what: "the output", .. }), "{name}: {error}");
    }
    fn takes_its_shape_alone(name: &str, layer: impl LayerSpec<f32> + 'static) {
        let net = one_layer(shape(1, 3, 6, 6), layer);
        for other in [shape(2, 3, 6, 6), shape(2, 4, 6, 6), shape(2, 3, 5, 6)] {
            // A normalisation takes images of any size.
            let fits = other.c() == 3 && (other.h() == 6 || name == "bn");
            assert_eq!(net.layers()[0].output_shape(other).is_ok(), fits, "{name} {other}");
        }
    }
    let table = || layers::table_conv2d([[0, 2]], Window::square(2));
    let pad = || layers::pad2d(Padding::uniform(1), PadMode::Reflect);
    refused("table", table());
    refused("pad", pad());
    refused("subsample", layers::subsample2d(Window::square(2)));
    refused("global", layers::global_avg_pool2d());
    refused("lrn", layers::local_response_norm(3));
    refused("bn", layers::batch_norm2d());
    refused("leaky relu", layers::leaky_relu(0.1));
    refused("log-softmax", layers::log_softmax());
    takes_its_shape_alone("table", table());
    takes_its_shape_alone("subsample", layers::subsample2d(Window::square(2)));
    takes_its_shape_alone("bn", layers::batch_norm2d());
}
