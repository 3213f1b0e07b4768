//! Every error: what causes it, what it says, and that it leaves no harm.

mod common;

use common::{one_layer, parameter_bits};
use conv::ConvError;
use im2col::{GeometryError, Padding, Window};
use net::models::SimpleConvNet;
use net::{
    Builder, LayerSpec, Misfit, Mode, NetError, Optimizer, Rule, Samples, Sequential,
    SoftmaxCrossEntropy, Tape, TensorSamples, TrainOptions, Trainer, layers,
};
use tensor4::{Tensor4, TensorError};
use testkit::{shape, tensor};

fn builder() -> Builder<f32> {
    Sequential::builder(2, 8, 9)
}

#[track_caller]
fn build_error(builder: Builder<f32>) -> NetError {
    builder.build(1).expect_err("the network can't be built")
}

/// The layer and the shape that reaches it, and the reason.
#[track_caller]
fn misfit(builder: Builder<f32>, layer: &str, input: [usize; 3]) -> (Misfit, String) {
    let error = build_error(builder);
    let message = error.to_string();
    let NetError::Layer { layer: named, in_c, in_h, in_w, reason } = error else {
        panic!("{message}")
    };
    assert_eq!((named.as_str(), [in_c, in_h, in_w]), (layer, input), "{message}");
    let [c, h, w] = input;
    let start = format!("layer {layer} does not take images of shape ({c}, {h}, {w}): ");
    assert_eq!(message, format!("{start}{reason}"));
    (*reason, message)
}

#[test]
fn no_layers() {
    assert_eq!(build_error(builder()), NetError::NoLayers);
}

#[test]
fn two_layers_of_one_name() {
    let error = build_error(
        builder().add_named("first", layers::relu()).add_named("first", layers::tanh()),
    );
    assert_eq!(error, NetError::DuplicateName { name: "first".to_owned() });
    // A name that another layer gets by its kind and number.
    let error =
        build_error(builder().add(layers::affine(3)).add_named("affine1", layers::affine(3)));
    assert_eq!(error, NetError::DuplicateName { name: "affine1".to_owned() });
    // Layers with names of their own count, so that these are conv1 to conv3.
    let conv = || layers::conv2d(2, Window::square(1));
    let net = builder().add(conv()).add_named("mine", conv()).add(conv()).build(1).unwrap();
    let names: Vec<_> = net.layers().iter().map(|layer| layer.name()).collect();
    assert_eq!(names, ["conv1", "mine", "conv3"]);
}

#[test]
fn the_second_convolution_is_too_large() {
    let plan = builder()
        .add(layers::conv2d(4, Window::square(3)))
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::conv2d(5, Window::new(5, 3).pad(0)))
        .add(layers::affine(10));
    let (reason, message) = misfit(plan, "conv2", [4, 3, 3]);
    let Misfit::Conv(ConvError::Geometry(GeometryError::KernelTooLarge {
        dimension,
        kernel,
        extent,
        input,
        ..
    })) = reason
    else {
        panic!("{message}")
    };
    assert_eq!((dimension, kernel, extent, input), ("height", 5, 5, 3));
    assert!(message.contains("kernel of height 5") && message.contains("only 3"), "{message}");

    // The model of the book says the same of itself.
    let error = SimpleConvNet::default().input(1, 4, 4).build::<f32>(1).unwrap_err();
    assert!(error.to_string().starts_with("layer conv1 does not take images of shape (1, 4, 4)"));
    let error = SimpleConvNet::default().input(1, 5, 5).build::<f32>(1).unwrap_err();
    assert!(error.to_string().starts_with("layer pool1 does not take images of shape (30, 1, 1)"));
}

#[test]
fn groups_that_do_not_divide_the_channels() {
    let conv = |filters, groups| {
        let conv = layers::conv2d(filters, Window::square(3)).groups(groups);
        builder().add(layers::conv2d(6, Window::square(1))).add(conv)
    };
    for (filters, groups) in [(8, 4), (8, 3), (6, 0)] {
        let (reason, message) = misfit(conv(filters, groups), "conv2", [6, 8, 9]);
        let expected = ConvError::Groups { groups, in_channels: 6, out_channels: filters };
        assert_eq!(reason, Misfit::Conv(expected), "{message}");
        assert!(message.contains(&format!("6 input and {filters} output channels")), "{message}");
    }
    conv(9, 3).build(1).expect("three groups fit");
}

#[test]
fn an_affine_layer_for_other_features() {
    let affine = |features| {
        let affine = layers::affine(10).in_features(features);
        builder().add(layers::conv2d(3, Window::square(3))).add(affine)
    };
    let (reason, message) = misfit(affine(100), "affine1", [3, 6, 7]);
    assert_eq!(reason, Misfit::Features { actual: 126, expected: 100 });
    assert!(message.contains("126 features arrive, 100 are expected"), "{message}");
    affine(126).build(1).expect("as many as arrive");
}

#[test]
fn windows_of_pools() {
    fn pools(window: Window) -> [Builder<f32>; 2] {
        [builder().add(layers::max_pool2d(window)), builder().add(layers::avg_pool2d(window))]
    }
    for plan in pools(Window::new(3, 10)) {
        let (reason, message) = misfit(plan, "pool1", [2, 8, 9]);
        assert!(
            matches!(
                reason,
                Misfit::Geometry(GeometryError::KernelTooLarge {
                    dimension: "width",
                    kernel: 10,
                    ..
                })
            ),
            "{message}"
        );
    }
    for (window, what) in [
        (Window::new(2, 0), "kernel"),
        (Window::square(2).strides(0, 1), "stride"),
        (Window::square(2).dilation(0), "dilation"),
    ] {
        for plan in pools(window) {
            let (reason, message) = misfit(plan, "pool1", [2, 8, 9]);
            let Misfit::Geometry(GeometryError::Zero { what: actual, .. }) = reason else {
                panic!("{message}")
            };
            assert_eq!(actual, what);
        }
    }
    // The first window has rows -2 and -1, the last one columns 9 and 10.
    let above = Padding { top: 2, ..Padding::default() };
    let right = Padding { right: 2, ..Padding::default() };
    for (padding, at) in [(above, (0, 0)), (right, (0, 9))] {
        for plan in pools(Window::square(2).padding(padding)) {
            let (reason, message) = misfit(plan, "pool1", [2, 8, 9]);
            assert_eq!(reason, Misfit::EmptyWindow { out_h: at.0, out_w: at.1 }, "{message}");
            assert!(message.contains("without one pixel"), "{message}");
        }
    }
    // A dilated kernel that jumps over an image of one row: taps at -1 and 1.
    let dilated = Window::new(2, 1).dilations(2, 1).pad(1).padding(Padding::symmetric(1, 0));
    let plan = Sequential::<f32>::builder(1, 1, 3).add(layers::max_pool2d(dilated));
    let (reason, message) = misfit(plan, "pool1", [1, 1, 3]);
    assert_eq!(reason, Misfit::EmptyWindow { out_h: 0, out_w: 0 }, "{message}");
    // The same padding is nothing unusual to a convolution.
    builder().add(layers::conv2d(1, Window::square(2).pad(2))).build(1).expect("zeros are fine");
}

#[test]
fn rates_of_dropout() {
    for rate in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY] {
        let plan = builder().add(layers::relu()).add(layers::dropout(rate));
        let (reason, message) = misfit(plan, "dropout1", [2, 8, 9]);
        let Misfit::Setting { setting, value, .. } = reason else { panic!("{message}") };
        assert_eq!((setting, value.to_bits()), ("the rate of dropout", rate.to_bits()));
        assert!(message.contains("at least 0 and less than 1"), "{message}");
    }
}

#[test]
fn sizes_that_overflow() {
    let error = build_error(Sequential::builder(usize::MAX, 2, 2).add(layers::relu()));
    assert!(matches!(error, NetError::Tensor(TensorError::TooLarge { n: 1, .. })), "{error}");

    let (reason, message) = misfit(builder().add(layers::affine(usize::MAX)), "affine1", [2, 8, 9]);
    assert!(matches!(reason, Misfit::Tensor(TensorError::TooLarge { .. })), "{message}");

    let conv = layers::conv2d(usize::MAX, Window::square(3));
    let (reason, message) = misfit(builder().add(conv), "conv1", [2, 8, 9]);
    let too_large = matches!(reason, Misfit::Conv(ConvError::Tensor(TensorError::TooLarge { .. })));
    assert!(too_large, "{message}");

    let window = Window::square(2).pad(usize::MAX / 2 + 1);
    let (reason, message) = misfit(builder().add(layers::max_pool2d(window)), "pool1", [2, 8, 9]);
    let too_large = matches!(reason, Misfit::Geometry(GeometryError::TooLarge { .. }));
    assert!(too_large, "{message}");

    let conv = layers::conv2d(3, window);
    let (reason, message) = misfit(builder().add(conv), "conv1", [2, 8, 9]);
    let too_large = matches!(
        reason,
        Misfit::Conv(ConvError::Geometry(GeometryError::TooLarge { what: "padded input", .. }))
    );
    assert!(too_large, "{message}");
}

fn net() -> Sequential<f32> {
    builder()
        .add(layers::conv2d(3, Window::square(3)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(4))
        .build(1)
        .expect("the layers fit")
}

#[test]
fn images_of_another_shape() {
    let net = net();
    for dims in [[3, 2, 8, 8], [3, 1, 8, 9], [3, 2, 9, 8], [1, 1, 1, 144]] {
        let [n, c, h, w] = dims;
        let x: Tensor4<f32> = tensor(shape(n, c, h, w), 1);
        let expected = NetError::Shape {
            operation: "the network".to_owned(),
            what: "the input",
            actual: x.shape(),
            expected: shape(n, 2, 8, 9),
        };
        let error = net.predict(x.view()).unwrap_err();
        assert_eq!(error, expected);
        let message = error.to_string();
        assert!(message.contains(&x.shape().to_string()), "{message}");
        assert!(message.contains(&shape(n, 2, 8, 9).to_string()), "{message}");
        assert_eq!(net.forward(x.view(), &mut Tape::new(), Mode::Eval).unwrap_err(), expected);
    }
}

#[test]
fn backward_needs_the_forward_pass_before_it() {
    let mut net = net();
    let x: Tensor4<f32> = tensor(shape(3, 2, 8, 9), 1);
    let dy: Tensor4<f32> = tensor(shape(3, 4, 1, 1), 2);
    let train = Mode::Train { step: 1 };

    let mut tape = Tape::new();
    let none = NetError::NoForward { n: 3 };
    assert_eq!(net.backward(dy.view(), &mut tape).unwrap_err(), none);
    assert_eq!(net.backward_to_input(dy.view(), &mut tape).unwrap_err(), none);

    net.forward(x.view(), &mut tape, Mode::Eval).unwrap();
    assert_eq!(net.backward(dy.view(), &mut tape).unwrap_err(), none);

    net.forward(x.view(), &mut tape, train).unwrap();
    let two = dy.view().batch(0..2).unwrap();
    assert_eq!(net.backward(two, &mut tape).unwrap_err(), NetError::NoForward { n: 2 });
    let wide: Tensor4<f32> = tensor(shape(3, 5, 1, 1), 2);
    let error = net.backward(wide.view(), &mut tape).unwrap_err();
    let expected = NetError::Shape {
        operation: "backward".to_owned(),
        what: "dy",
        actual: wide.shape(),
        expected: dy.shape(),
    };
    assert_eq!(error, expected);
    net.backward(dy.view(), &mut tape).expect("the right gradient still fits");

    net.forward(x.view(), &mut tape, Mode::Eval).unwrap();
    assert_eq!(net.backward(dy.view(), &mut tape).unwrap_err(), none);

    // The tape of a network with other layers.
    let mut shorter = builder().add(layers::affine(4)).build(1).unwrap();
    net.forward(x.view(), &mut tape, train).unwrap();
    assert_eq!(shorter.backward(dy.view(), &mut tape).unwrap_err(), none);
    let mut alike = builder()
        .add(layers::conv2d(5, Window::square(3)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(4))
        .build(1)
        .unwrap();
    assert_eq!(alike.backward(dy.view(), &mut tape).unwrap_err(), none);
}

/// Layers check their tensors themselves, for whoever calls them without a network.
#[test]
fn layers_check_what_they_are_given() {
    fn refused(name: &str, layer: impl LayerSpec<f32> + 'static) {
        let mut net = one_layer(shape(1, 2, 6, 6), layer);
        let mut state = net::State::new();
        let x: Tensor4<f32> = tensor(shape(2, 2, 6, 6), 1);
        let layer = &net.layers()[0];
        let y_shape = layer.output_shape(x.shape()).unwrap();
        let mut wrong = Tensor4::zeros(y_shape.with_n(3).unwrap());
        let error = layer.forward(x.view(), wrong.view_mut(), &mut state, Mode::Eval).unwrap_err();
        let NetError::Shape { operation, what, actual, expected } = error else {
            panic!("{name}: {error}")
        };
        assert_eq!((operation.as_str(), what), ("layer", "the output"), "{name}");
        assert_eq!((actual, expected), (wrong.shape(), y_shape), "{name}");
        assert!(net.parameters_mut().count() <= 2);
    }
    refused("conv", layers::conv2d(3, Window::square(2)));
    refused("affine", layers::affine(3));
    refused("relu", layers::relu());
    refused("max", layers::max_pool2d(Window::square(2)));
    refused("avg", layers::avg_pool2d(Window::square(2)));
    refused("dropout", layers::dropout(0.5));
    refused("flatten", layers::flatten());
}

#[test]
fn labels() {
    let logits: Tensor4<f32> = tensor(shape(3, 4, 1, 1), 1);
    let loss = |labels: &[usize]| SoftmaxCrossEntropy.loss(logits.view(), labels, None);
    assert_eq!(
        loss(&[0, 1]).unwrap_err(),
        NetError::LabelCount { operation: "softmax cross-entropy", images: 3, labels: 2 }
    );
    let error = loss(&[0, 3, 4]).unwrap_err();
    assert_eq!(error, NetError::Label { image: 2, label: 4, classes: 4 });
    assert_eq!(error.to_string(), "label 4 of image 2: the network has 4 classes, counted from 0");
    loss(&[0, 3, 3]).expect("the last class");

    let mut dlogits = Tensor4::zeros(shape(3, 5, 1, 1));
    let error = SoftmaxCrossEntropy.loss(logits.view(), &[0, 1, 2], Some(dlogits.view_mut()));
    let error = error.unwrap_err();
    assert!(matches!(&error, NetError::Shape { what: "dlogits", .. }), "{error}");

    // A network without outputs has no class at all.
    let none = Tensor4::<f32>::zeros(shape(1, 0, 1, 1));
    let error = SoftmaxCrossEntropy.loss(none.view(), &[0], None).unwrap_err();
    assert_eq!(error, NetError::Label { image: 0, label: 0, classes: 0 });
    assert!(error.to_string().starts_with("label 0 of image 0"));
}

#[test]
fn samples() {
    let images: Tensor4<f32> = tensor(shape(3, 2, 8, 9), 1);
    let error = TensorSamples::new(images.clone(), vec![0, 1]).unwrap_err();
    assert_eq!(error, NetError::LabelCount { operation: "samples", images: 3, labels: 2 });

    let samples = TensorSamples::new(images, vec![0, 1, 2]).unwrap();
    let mut x = Tensor4::zeros(shape(2, 2, 8, 9));
    let mut labels = [0; 2];
    let error = samples.gather(&[0, 3], x.view_mut(), &mut labels).unwrap_err();
    assert!(matches!(error, NetError::Samples { .. }), "{error}");
    assert_eq!(error.to_string(), "samples: there is no image 3 among 3");
    let error = samples.gather(&[0], x.view_mut(), &mut labels[..1]).unwrap_err();
    assert!(matches!(&error, NetError::Shape { what: "x", .. }), "{error}");
    let error = samples.gather(&[0, 1], x.view_mut(), &mut labels[..1]).unwrap_err();
    assert_eq!(error, NetError::LabelCount { operation: "gather", images: 2, labels: 1 });
    samples.gather(&[2, 0], x.view_mut(), &mut labels).unwrap();
    assert_eq!(labels, [2, 0]);

    let none = TensorSamples::new(Tensor4::zeros(shape(0, 2, 8, 9)), Vec::new()).unwrap();
    assert!(none.is_empty() && !samples.is_empty());
    let mut trainer = Trainer::new(TrainOptions::default(), Rule::sgd(0.1)).unwrap();
    let error = trainer.fit(&mut net(), &none, None, &mut ()).unwrap_err();
    assert!(matches!(error, NetError::Samples { .. }), "{error}");
    let other = TensorSamples::new(tensor(shape(3, 1, 8, 9), 1), vec![0, 1, 2]).unwrap();
    let error = trainer.fit(&mut net(), &other, None, &mut ()).unwrap_err();
    assert!(matches!(&error, NetError::Shape { what: "the input", .. }), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_all_listed_and_change_nothing() {
    let mut net = net();
    let before = parameter_bits(&net);
    let values = vec![0.5_f32; 144];
    let error = net
        .load([
            ("conv1.weight", &[3, 3, 3, 2][..], &values[..54]),
            ("conv1.bias", &[3][..], &values[..3]),
            ("affine1.bias", &[4, 1][..], &values[..4]),
            ("conv2.weight", &[1][..], &values[..1]),
            ("conv3.weight", &[1][..], &values[..1]),
        ])
        .unwrap_err();
    let message = error.to_string();
    let NetError::Weights { problems } = error else { panic!("{message}") };
    assert_eq!(
        problems,
        [
            "conv1.weight has the shape [3, 3, 3, 2] with 54 values, [3, 2, 3, 3] is needed",
            "affine1.weight is missing",
            "affine1.bias has the shape [4, 1] with 4 values, [4] is needed",
            "conv2.weight is not part of the network",
            "conv3.weight is not part of the network",
        ]
    );
    assert!(problems.iter().all(|problem| message.contains(problem)), "{message}");
    assert_eq!(parameter_bits(&net), before, "not even conv1.bias, which fits");

    // The right sizes with too few values.
    let weights = |bias: usize| {
        [
            ("conv1.weight", &[3, 2, 3, 3][..], &values[..54]),
            ("conv1.bias", &[3][..], &values[..bias]),
            ("affine1.weight", &[4, 27][..], &values[..108]),
            ("affine1.bias", &[4][..], &values[..4]),
        ]
    };
    let error = net.load(weights(2)).unwrap_err();
    assert!(matches!(&error, NetError::Weights { problems } if problems.len() == 1), "{error}");
    assert_eq!(parameter_bits(&net), before);
    net.load(weights(3)).expect("all of them fit");
    assert!(net.parameters().all(|p| p.value().data().iter().all(|&value| value == 0.5)));
}

#[test]
fn settings_out_of_range() {
    let adam = |beta1, beta2, eps| Rule::Adam { lr: 0.1, beta1, beta2, eps, weight_decay: 0.0 };
    let adam_w = |beta1, beta2, eps| Rule::AdamW { lr: 0.1, beta1, beta2, eps, weight_decay: 0.0 };
    let decayed = |weight_decay| {
        [
            Rule::Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay },
            Rule::AdaGrad { lr: 0.1, eps: 1e-8, weight_decay },
            Rule::RmsProp { lr: 0.1, alpha: 0.9, eps: 1e-8, weight_decay },
            Rule::Adam { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weight_decay },
            Rule::AdamW { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weight_decay },
        ]
    };
    let rms_prop = |alpha, eps| Rule::RmsProp { lr: 0.1, alpha, eps, weight_decay: 0.0 };
    let mut cases = vec![];
    for lr in [-0.1, f64::NAN, f64::INFINITY] {
        for rule in [
            Rule::sgd(lr),
            Rule::momentum(lr, 0.9),
            Rule::nesterov(lr, 0.9),
            Rule::ada_grad(lr),
            Rule::rms_prop(lr),
            Rule::adam(lr),
            Rule::adam_w(lr),
        ] {
            cases.push((rule, "the learning rate", lr));
        }
    }
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        cases.push((Rule::momentum(0.1, bad), "the momentum", bad));
        for rule in decayed(bad) {
            cases.push((rule, "the weight decay", bad));
        }
        for rule in [
            adam(0.9, 0.9, bad),
            adam_w(0.9, 0.9, bad),
            rms_prop(0.9, bad),
            Rule::AdaGrad { lr: 0.1, eps: bad, weight_decay: 0.0 },
        ] {
            cases.push((rule, "eps", bad));
        }
    }
    for bad in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        cases.push((rms_prop(bad, 1e-8), "alpha", bad));
        for rule in [adam(bad, 0.9, 1e-8), adam_w(bad, 0.9, 1e-8)] {
            cases.push((rule, "beta1", bad));
        }
        for rule in [adam(0.9, bad, 1e-8), adam_w(0.9, bad, 1e-8)] {
            cases.push((rule, "beta2", bad));
        }
    }
    assert_eq!(cases.len(), 3 * 7 + 3 * 10 + 4 * 5);
    for (rule, expected, number) in cases {
        let error = Optimizer::<f32>::new(rule).unwrap_err();
        let message = error.to_string();
        let NetError::Setting { setting, value, .. } = error else { panic!("{message}") };
        assert_eq!((setting, value.to_bits()), (expected, number.to_bits()), "{rule:?}");
        assert!(message.starts_with(&format!("{expected} is {number}; ")), "{message}");
        assert!(message.ends_with("would fit"), "{message}");
        assert!(Trainer::<f32>::new(TrainOptions::default(), rule).is_err());
    }
    Optimizer::<f32>::new(Rule::sgd(0.0)).expect("a rate of 0 changes nothing, but may");

    let mut options = TrainOptions::default();
    options.eval_batch_size = 0;
    for (options, expected) in [
        (TrainOptions::default().batch_size(0), "the batch size"),
        (options, "the batch size of evaluation"),
    ] {
        let error = Trainer::<f32>::new(options, Rule::sgd(0.1)).unwrap_err();
        let NetError::Setting { setting, value, .. } = error else { panic!("{error}") };
        assert_eq!((setting, value), (expected, 0.0));
    }
}
