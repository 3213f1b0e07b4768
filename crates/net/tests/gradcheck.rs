//! Backpropagation against numerical differentiation, over whole networks and every layer.

mod common;

use common::{bits, parameter_bits};
use im2col::{Padding, Window};
use net::layers::PadMode;
use net::models::{AlexNetSmall, LeNet5, SimpleConvNet};
use net::{
    Gradient, GradientCheck, GradientError, Init, Layer, LayerSpec, Misfit, Mode, NetError, Seeds,
    Sequential, State, Tape, gradient_check, layers,
};
use tensor4::{Shape4, Tensor4, View4, ViewMut4};
use testkit::values;

const TOLERANCE: f64 = 1e-7;

/// A batch of normal images.
fn images(net: &Sequential<f64>, n: usize, seed: u64) -> Tensor4<f64> {
    let shape = net.input_shape().with_n(n).expect("a small batch");
    Tensor4::normal(shape, 0.0, 1.0, seed)
}

fn errors(net: &mut Sequential<f64>, labels: &[usize], elements: usize) -> Vec<GradientError> {
    let x = images(net, labels.len(), 7);
    let options = GradientCheck::default().elements(elements);
    gradient_check(net, x.view(), labels, options).expect("x and labels fit")
}

/// Checks `elements` of each parameter and of the input, and that the check leaves no trace.
#[track_caller]
fn check(mut net: Sequential<f64>, labels: &[usize], elements: usize) {
    // A bias of 0 would leave a window of zeros exactly at the kink of ReLU.
    for (i, parameter) in net.parameters_mut().enumerate() {
        if parameter.name().ends_with(".bias") {
            let values = values::<f64>(parameter.shape().len(), i as u64);
            for (bias, value) in parameter.value_mut().iter_mut().zip(values) {
                *bias = 0.1 * value;
            }
        }
    }
    let trained = |net: &Sequential<f64>| -> Vec<u64> {
        let trained = net.parameters().filter(|p| p.is_trained());
        trained.flat_map(|p| bits(p.value().data())).collect()
    };
    let before = trained(&net);
    let errors = errors(&mut net, labels, elements);
    assert_eq!(trained(&net), before, "the check changed the weights");

    let image_len = net.input_shape().len();
    let parameters = net.parameters().filter(|p| p.is_trained());
    let parameters = parameters.map(|p| (p.name().to_owned(), p.shape().len()));
    let expected = parameters.chain([("input".to_owned(), labels.len() * image_len)]);
    let expected: Vec<_> = expected.map(|(name, len)| (name, len.min(elements))).collect();
    let checked: Vec<_> = errors.iter().map(|e| (e.name.clone(), e.checked)).collect();
    assert_eq!(checked, expected);
    for error in &errors {
        assert!(error.relative <= TOLERANCE, "{error:?}");
    }
    // A gradient of 0 everywhere would agree with a network that says the same of everything.
    let mut trained = net.parameters().filter(|p| p.is_trained());
    assert!(trained.all(|p| p.grad().data().iter().any(|&g| g != 0.0)));
}

#[test]
fn the_network_of_the_book() {
    let net = SimpleConvNet::default().build(1).expect("the defaults fit");
    check(net, &[3, 0, 9], 10);
}

#[test]
fn every_element_of_a_small_network() {
    let net = SimpleConvNet::default().input(1, 12, 12).filters(4).hidden(10).outputs(5);
    let net = net.weight_std(0.3).build(2).expect("the layers fit");
    check(net, &[4, 0], usize::MAX);
}

#[test]
fn smooth_activations_dropout_and_average_pools() {
    let net = Sequential::builder(2, 9, 8)
        .init(Init::XavierNormal)
        .add(layers::conv2d(4, Window::new(3, 2).pad(1)))
        .add(layers::sigmoid())
        .add(layers::avg_pool2d(Window::square(3).stride(2).pad(1)))
        .add(layers::conv2d(3, Window::square(2)))
        .add(layers::tanh())
        .add(layers::avg_pool2d(Window::square(2).pad(1)).count_include_pad(false))
        .add(layers::flatten())
        .add(layers::dropout(0.4))
        .add(layers::affine(6).init(Init::XavierUniform))
        .add(layers::tanh())
        .add(layers::affine(3))
        .build(3)
        .expect("the layers fit");
    check(net, &[2, 0, 1, 1], 60);
}

#[test]
fn grouped_strided_and_dilated_convolutions() {
    let net = Sequential::builder(4, 11, 12)
        .add(layers::conv2d(6, Window::new(3, 2).strides(2, 1).pad(1)).groups(2))
        .add(layers::relu())
        .add(layers::conv2d(6, Window::square(3).dilations(2, 3).pad(2)).groups(6))
        .add(layers::relu())
        .add(layers::conv2d(
            5,
            Window::square(2).stride(2).padding(Padding { top: 2, left: 0, bottom: 1, right: 1 }),
        ))
        .add(layers::tanh())
        .add(layers::affine(4))
        .build(4)
        .expect("the layers fit");
    check(net, &[1, 3], 60);
}

#[test]
fn overlapping_maximum_pools() {
    let net = Sequential::builder(2, 9, 10)
        .add(layers::conv2d(3, Window::square(2)))
        .add(layers::max_pool2d(Window::square(3).stride(2).pad(1)))
        .add(layers::sigmoid())
        .add(layers::max_pool2d(Window::new(2, 3).strides(1, 2).dilations(2, 1)))
        .add(layers::dropout(0.2))
        .add(layers::affine(4))
        .build(5)
        .expect("the layers fit");
    check(net, &[1, 3, 0], 80);
}

#[test]
fn lenet5_as_published_and_modern() {
    let mut published = LeNet5::published().build(7).expect("the layers fit");
    // Four sigmoids leave less of a gradient than numerical differentiation needs.
    for parameter in published.parameters_mut().filter(|p| p.name().ends_with(".weight")) {
        parameter.value_mut().iter_mut().for_each(|weight| *weight *= 3.0);
    }
    check(published, &[3, 9], 10);
    check(LeNet5::modern().input(2, 30, 33).classes(4).build(8).expect("the layers fit"), &[3], 10);
}

/// Grouped convolutions, response normalisation, overlapping pools and dropout.
#[test]
fn alexnet_for_small_images() {
    let net = AlexNetSmall::default().input(2, 16, 15).classes(4).hidden(20);
    check(net.build(9).expect("the layers fit"), &[3, 0], 8);
}

#[test]
fn normalisations_over_batch_and_channels() {
    let net = Sequential::builder(2, 7, 6)
        .add(layers::batch_norm2d())
        .add(layers::conv2d(6, Window::square(3)).same().groups(2))
        .add(layers::leaky_relu(0.1))
        .add(layers::local_response_norm(4).alpha(2.0).beta(0.6))
        .add(layers::conv2d(5, Window::square(2).stride(2)).same_lower())
        .add(layers::tanh())
        .add(layers::local_response_norm(3).alpha(1.5).k(0.8))
        .add(layers::batch_norm2d().eps(0.1))
        .add(layers::global_avg_pool2d())
        .add(layers::affine(4))
        .build(10)
        .expect("the layers fit");
    check(net, &[3, 1, 0, 2, 2], 60);
}

#[test]
fn padding_of_every_kind_and_pools_in_ceil_mode() {
    let pad = |mode| layers::pad2d(Padding { top: 2, left: 0, bottom: 1, right: 3 }, mode);
    let table = [vec![0, 1], vec![2], vec![2, 0]];
    let net = Sequential::builder(3, 6, 5)
        .add(pad(PadMode::Reflect))
        .add(layers::table_conv2d(table, Window::new(2, 3)))
        .add(pad(PadMode::Replicate))
        .add(layers::avg_pool2d(Window::square(3).stride(2).pad(1)).ceil_mode(true))
        .add(layers::tanh())
        .add(pad(PadMode::Circular))
        .add(layers::max_pool2d(Window::square(3).stride(2)).ceil_mode(true))
        .add(pad(PadMode::Constant(0.7)))
        .add(layers::subsample2d(Window::square(2).stride(2)))
        .add(layers::sigmoid())
        .add(layers::affine(4))
        .add(layers::log_softmax())
        .build(11)
        .expect("the layers fit");
    check(net, &[3, 1], 60);
}

/// From this many images on a convolution runs in another order.
#[test]
fn a_batch_of_many_images() {
    let net = Sequential::builder(1, 6, 6)
        .add(layers::conv2d(2, Window::square(3).pad(1)))
        .add(layers::relu())
        .add(layers::max_pool2d(Window::square(2).stride(2)))
        .add(layers::affine(3))
        .build(6)
        .expect("the layers fit");
    check(net, &[0, 1, 2, 0, 1, 2, 0, 1, 2, 2], 100);
}

/// The identity, of which some gradients are multiplied by what they shouldn't be.
#[derive(Clone)]
struct Faulty {
    name: String,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Every element, by this factor.
    Every(f64),
    /// The first element alone, by this factor.
    First(f64),
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { name: String::new(), fault }
    }
}

impl LayerSpec<f64> for Faulty {
    fn stem(&self) -> &'static str {
        "faulty"
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, Misfit> {
        Ok(input)
    }

    fn build(
        self: Box<Self>,
        name: String,
        _input: Shape4,
        _init: Init,
        _seeds: &mut Seeds,
    ) -> Result<Box<dyn Layer<f64>>, Misfit> {
        Ok(Box::new(Self { name, ..*self }))
    }
}

impl Layer<f64> for Faulty {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        "identity with a wrong gradient".to_owned()
    }

    fn output_shape(&self, input: Shape4) -> Result<Shape4, NetError> {
        Ok(input)
    }

    fn forward(
        &self,
        x: View4<'_, f64>,
        mut y: ViewMut4<'_, f64>,
        _state: &mut State<f64>,
        _mode: Mode,
    ) -> Result<(), NetError> {
        y.data_mut().copy_from_slice(x.data());
        Ok(())
    }

    fn backward(
        &mut self,
        gradient: Gradient<'_, f64>,
        dx: Option<ViewMut4<'_, f64>>,
        _state: &mut State<f64>,
    ) -> Result<(), NetError> {
        if let Some(mut dx) = dx {
            dx.data_mut().copy_from_slice(gradient.dy.data());
            match self.fault {
                Fault::Every(factor) => dx.data_mut().iter_mut().for_each(|dx| *dx *= factor),
                Fault::First(factor) => dx.data_mut()[0] *= factor,
            }
        }
        Ok(())
    }
}

fn network_with(fault: Fault) -> Sequential<f64> {
    Sequential::builder(1, 5, 5)
        .add(layers::conv2d(2, Window::square(2)))
        .add(layers::tanh())
        .add(Faulty::new(fault))
        .add(layers::affine(3))
        .build(1)
        .expect("the layers fit")
}

#[test]
fn a_gradient_wrong_by_one_percent_is_found() {
    check(network_with(Fault::Every(1.0)), &[0, 2], 20);
    let errors = errors(&mut network_with(Fault::Every(1.01)), &[0, 2], 20);
    assert_eq!(errors.len(), 5);
    for GradientError { name, relative, .. } in &errors {
        // What lies beyond the fault, on the way back, is wrong; the rest is right.
        if name.starts_with("affine1") {
            assert!(*relative <= TOLERANCE, "{name}: {relative}");
        } else {
            assert!((0.009..0.011).contains(relative), "{name}: {relative}");
        }
    }
}

/// One element out of many, in whatever order they are checked.
#[test]
fn one_wrong_element_is_found_whether_number_or_not() {
    // The first layer, so that the fault reaches one element of the gradient alone.
    let network = |fault| {
        let net = Sequential::builder(1, 5, 5).add(Faulty::new(fault)).add(layers::affine(3));
        net.build(1).expect("the layers fit")
    };
    for seed in 0..4 {
        let input_error = |fault| {
            let mut net = network(fault);
            let x = images(&net, 2, 7);
            let mut options = GradientCheck::default().elements(50);
            options.seed = seed;
            let errors = gradient_check(&mut net, x.view(), &[0, 2], options).expect("x fits");
            let input = errors.into_iter().find(|error| error.name == "input");
            input.expect("the input is checked").relative
        };
        assert!(input_error(Fault::First(1.0)) <= TOLERANCE);
        assert!(input_error(Fault::First(1.5)) > 1e-3);
        assert!(input_error(Fault::First(f64::NAN)).is_nan());
    }
}

/// The gradient that pictures are made from, against central differences, for the output of
/// every layer; nothing is dropped on the way.
#[test]
fn the_input_of_a_layer_in_evaluation_mode() {
    let mut net = Sequential::<f64>::builder(1, 6, 7)
        .init(Init::XavierNormal)
        .add(layers::conv2d(3, Window::square(3).pad(1)))
        .add(layers::batch_norm2d())
        .add(layers::tanh())
        .add(layers::dropout(0.5))
        .add(layers::avg_pool2d(Window::square(2)))
        .add(layers::affine(4))
        .build(5)
        .expect("the layers fit");
    let mut x = images(&net, 2, 8);
    let before = parameter_bits(&net);
    let mut tape = Tape::recording();
    for layer in 0..net.layers().len() {
        net.forward(x.view(), &mut tape, Mode::Eval).expect("x fits");
        let len = tape.output(layer).expect("a forward pass ran").len();
        let weights = values::<f64>(len, layer as u64);
        let weighted = |y: &[f64]| y.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
        let gradient = net
            .gradient_by_input(layer, x.view(), &mut tape, |_, mut dy| {
                dy.data_mut().copy_from_slice(&weights);
            })
            .expect("there is such a layer");
        for element in [0, 17, 40, 41, 83] {
            let value = x.data()[element];
            let mut at = |value: f64| {
                x.data_mut()[element] = value;
                net.forward(x.view(), &mut tape, Mode::Eval).expect("x fits");
                weighted(tape.output(layer).expect("a forward pass ran").data())
            };
            let numerical = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
            x.data_mut()[element] = value;
            let difference = (numerical - gradient.data()[element]).abs();
            assert!(difference < 1e-8, "layer {layer}, element {element}: {difference}");
        }
    }
    assert_eq!(parameter_bits(&net), before);
    // What is left is no pass that a training could go back over.
    let dy = Tensor4::zeros(Shape4::matrix(2, 4).expect("small"));
    assert_eq!(net.backward(dy.view(), &mut tape), Err(NetError::NoForward { n: 2 }));
    let none = net.gradient_by_input(6, x.view(), &mut tape, |_, _| {});
    assert_eq!(none, Err(NetError::NoLayer { layer: 6, layers: 6 }));
}
