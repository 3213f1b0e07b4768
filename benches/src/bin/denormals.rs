//! What denormal numbers cost: networks whose weights are as small as 1e-40 against the same
//! networks with their usual weights, in turn.
//!
//! `cargo run --release -p benches --bin denormals -- --help`

#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use benches::timing::median;
use clap::Parser;
use im2col::Window;
use net::models::{DeepConvNet, SimpleConvNet};
use net::{Mode, Sequential, SoftmaxCrossEntropy, Tape, layers};
use tensor4::Tensor4;
use testkit::{shape, tensor};

/// Times forward and backward passes of networks with usual and with denormal weights.
///
/// All weights, biases too, are scaled so that the largest is SIZE. Passes with both are timed in
/// turn; a ratio is the time with denormal weights over the usual one. A ReLU is left out behind the
/// convolutions of one network, so that every number that goes through it is denormal or 0.
#[derive(Debug, Parser)]
struct Args {
    /// The largest absolute weight: 1.2e-38 and less is denormal.
    #[arg(long, default_value_t = 1e-40)]
    size: f32,
    /// Images of a batch.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// How often each pass is timed.
    #[arg(long, default_value_t = 31)]
    runs: usize,
}

type Build = fn() -> Result<Sequential<f32>, net::NetError>;

const NETWORKS: [(&str, Build); 3] = [
    ("simple-convnet", || SimpleConvNet::default().build(1)),
    ("deep-convnet", || DeepConvNet::default().build(1)),
    ("without ReLU", || {
        let net = Sequential::builder(1, 28, 28).add(layers::conv2d(30, Window::square(5)));
        net.add(layers::avg_pool2d(Window::square(2).stride(2))).add(layers::affine(10)).build(1)
    }),
];

/// A network at work, and how long its passes took.
struct Subject {
    net: Sequential<f32>,
    tape: Tape<f32>,
    forward: Vec<Duration>,
    backward: Vec<Duration>,
}

impl Subject {
    fn new(mut net: Sequential<f32>, largest: Option<f32>) -> Self {
        let values = net.parameters().flat_map(|parameter| parameter.value().data());
        let now = values.fold(0.0_f32, |max, value| max.max(value.abs()));
        let scale = largest.map_or(1.0, |largest| f64::from(largest) / f64::from(now));
        for parameter in net.parameters_mut() {
            for value in parameter.value_mut() {
                *value = (f64::from(*value) * scale) as f32;
            }
        }
        Self { net, tape: Tape::new(), forward: Vec::new(), backward: Vec::new() }
    }

    fn pass(&mut self, x: &Tensor4<f32>, labels: &[usize]) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let logits = self.net.forward(x.view(), &mut self.tape, Mode::Train { step: 1 })?;
        let forward = start.elapsed();
        let mut dlogits = Tensor4::zeros(logits.shape());
        let loss = SoftmaxCrossEntropy.loss(logits, labels, Some(dlogits.view_mut()))?;
        if !loss.mean.is_finite() {
            return Err(format!("the loss is {}", loss.mean).into());
        }
        let start = Instant::now();
        self.net.backward(dlogits.view(), &mut self.tape)?;
        self.forward.push(forward);
        self.backward.push(start.elapsed());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    println!("weights of at most {:e} against the usual ones, batch {}", args.size, args.batch);
    let x = tensor(shape(args.batch, 1, 28, 28), 3);
    let labels: Vec<usize> = (0..args.batch).map(|image| image % 10).collect();
    for (name, build) in NETWORKS {
        let mut subjects =
            [None, Some(args.size)].map(|size| build().map(|net| Subject::new(net, size)));
        for _ in 0..args.runs.max(1) + 3 {
            for subject in &mut subjects {
                subject.as_mut().map_err(|error| error.to_string())?.pass(&x, &labels)?;
            }
        }
        let [usual, denormal] = subjects;
        let (usual, denormal) = (usual?, denormal?);
        let ms = |times: &[Duration]| median(times[3..].to_vec()).as_secs_f64() * 1e3;
        for (pass, usual, denormal) in [
            ("forward", &usual.forward, &denormal.forward),
            ("backward", &usual.backward, &denormal.backward),
        ] {
            let (usual, denormal) = (ms(usual), ms(denormal));
            let ratio = denormal / usual;
            println!("{name:<16} {pass:<8} {usual:8.3} ms {denormal:8.3} ms  ratio {ratio:.2}");
        }
    }
    Ok(())
}
