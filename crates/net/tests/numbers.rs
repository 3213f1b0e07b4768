//! Numbers that are none: where they come from is found, and extremes that are numbers stay numbers.

use im2col::Window;
use net::{
    Mode, NetError, NetScalar, NonFinite, Rule, Sequential, SoftmaxCrossEntropy, TensorSamples,
    TrainOptions, Trainer, layers,
};
use tensor4::Tensor4;
use testkit::{shape, tensor};

/// Two convolutions, fused with what follows them, and two affine layers.
fn net() -> Sequential<f32> {
    Sequential::builder(1, 10, 10)
        .add(layers::conv2d(3, Window::square(3)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::conv2d(4, Window::square(3)))
        .add(layers::relu())
        .add(layers::affine(6))
        .add(layers::dropout(0.5))
        .add(layers::affine(3))
        .build(1)
        .expect("the layers fit")
}

/// Overwrites one value of a parameter.
fn poison(net: &mut Sequential<f32>, name: &str, value: f32) {
    let parameter = net.parameters_mut().find(|parameter| parameter.name() == name);
    parameter.expect("the network has it").value_mut()[0] = value;
}

/// What ends the training of a network on random images.
fn fails(mut net: Sequential<f32>) -> NetError {
    let samples = TensorSamples::new(tensor(shape(6, 1, 10, 10), 3), vec![0, 1, 2, 0, 1, 2]);
    let options = TrainOptions::default().epochs(1).batch_size(3);
    let mut trainer = Trainer::new(options, Rule::sgd(0.01)).expect("they are in range");
    trainer.fit(&mut net, &samples.unwrap(), None, &mut ()).unwrap_err()
}

#[test]
fn the_layer_that_holds_the_number_is_named_with_its_parameter() {
    for name in ["conv1.weight", "conv1.bias", "conv2.bias", "affine1.weight", "affine2.bias"] {
        let mut net = net();
        poison(&mut net, name, f32::NAN);
        let error = fails(net);
        let NetError::NonFiniteLoss { step: 1, epoch: 1, loss, origin } = &error else {
            panic!("{name}: {error}")
        };
        assert!(loss.is_nan(), "{name}: {error}");
        let NonFinite::Layer { layer, value, parameter } = origin else {
            panic!("{name}: {error}")
        };
        assert_eq!((Some(layer.as_str()), value.is_nan()), (name.split('.').next(), true));
        assert_eq!(parameter.as_deref(), Some(name));
        let message = format!(
            "the loss of step 1 (epoch 1) is NaN: layer {layer} was the first to give NaN, and its \
             {name} is not finite; training has diverged; a smaller learning rate may help"
        );
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_layer_that_overflows_is_named_without_a_parameter() {
    let mut net = net();
    let large = |name: &str| name.starts_with("conv2") || name.starts_with("affine1");
    for parameter in net.parameters_mut().filter(|parameter| large(parameter.name())) {
        parameter.value_mut().fill(1e38);
    }
    let error = fails(net);
    let NetError::NonFiniteLoss { origin, .. } = &error else { panic!("{error}") };
    let NonFinite::Layer { layer, value, parameter: None } = origin else { panic!("{error}") };
    // Sums of 27 products with values of up to 1 may overflow themselves, or those that read them.
    assert!(["conv2", "affine1"].contains(&layer.as_str()), "{error}");
    assert!(value.is_infinite() || value.is_nan());
    assert!(error.to_string().contains("was the first to give"), "{error}");
}

#[test]
fn a_pass_of_finite_numbers_has_nothing_to_find() {
    let x = tensor(shape(2, 1, 10, 10), 5);
    for mode in [Mode::Eval, Mode::Train { step: 3 }] {
        assert_eq!(net().find_non_finite(x.view(), mode).unwrap(), None);
    }
    let error = net().find_non_finite(tensor(shape(2, 1, 9, 9), 5).view(), Mode::Eval).unwrap_err();
    assert!(matches!(error, NetError::Shape { .. }), "{error}");
}

/// The loss and its gradient where logits are as large as 1000, against the formula's limits.
fn extremes<T: NetScalar>() {
    let logits = [[1000.0, -1000.0, 0.0], [-1000.0, -1000.0, -1000.0], [1000.0, 1000.0, -1000.0]];
    let logits = logits.map(|row| row.map(T::from_f64)).concat();
    let logits = Tensor4::from_vec(shape(3, 3, 1, 1), logits).unwrap();
    let ln_3 = 3.0_f64.ln();
    let ln_2 = 2.0_f64.ln();
    for (labels, losses) in [([0, 0, 0], [0.0, ln_3, ln_2]), ([1, 1, 2], [2000.0, ln_3, 2000.0])] {
        let mut dlogits = Tensor4::full(logits.shape(), T::NAN);
        let loss = SoftmaxCrossEntropy.loss(logits.view(), &labels, Some(dlogits.view_mut()));
        let loss = loss.expect("they fit").mean;
        let expected = losses.iter().sum::<f64>() / 3.0;
        // The last image's loss is 2000 + ln 2, of which an f32 keeps 2000.7.
        assert!((loss - expected).abs() <= 0.5 * f64::from(labels[0] != 0) + 1e-6, "{loss}");
        assert!(dlogits.data().iter().all(|d| d.is_finite()), "{:?}", dlogits.data());
        for image in 0..3 {
            let sum: f64 = dlogits.image(image).iter().map(|d| d.to_f64()).sum();
            assert!(sum.abs() < 1e-6, "a gradient by logits sums to 0, not to {sum}");
        }
    }
    let probabilities = SoftmaxCrossEntropy.probabilities(logits.view());
    let expected = [1.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.5, 0.5, 0.0];
    for (p, expected) in probabilities.data().iter().zip(expected) {
        assert!((p.to_f64() - expected).abs() < 1e-6, "{:?}", probabilities.data());
    }
}

#[test]
fn softmax_and_loss_are_finite_at_plus_and_minus_1000() {
    extremes::<f32>();
    extremes::<f64>();
}

#[test]
fn a_logit_that_is_no_number_shows_in_loss_and_probabilities() {
    for place in 0..3 {
        let mut row = [1.0_f32, 2.0, 3.0];
        row[place] = f32::NAN;
        let logits = Tensor4::from_vec(shape(1, 3, 1, 1), row.to_vec()).unwrap();
        let loss = SoftmaxCrossEntropy.loss(logits.view(), &[2], None).unwrap();
        assert!(loss.mean.is_nan(), "{loss:?}");
        assert_eq!(loss.correct, 0, "an image with such a logit is never recognised");
        let probabilities = SoftmaxCrossEntropy.probabilities(logits.view());
        assert!(probabilities.data().iter().all(|p| p.is_nan()), "{:?}", probabilities.data());
    }
}
