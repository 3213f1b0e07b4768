//! `colonnade gradcheck`.

use clap::Args as ClapArgs;
use net::{GradientCheck, GradientError, Parameter, Sequential, gradient_check};
use serde_json::json;
use tensor4::Tensor4;

use crate::args::positive;
use crate::bar::Bar;
use crate::failure::Failure;
use crate::model::ModelName;
use crate::output::print_json;
use crate::use_threads;

/// Compares backpropagation with numerical differentiation, in f64.
///
/// The images are noise, the labels 0, 1, 2 and so on. For each parameter the largest difference
/// of some of its gradients is given, divided by the largest gradient among them.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade gradcheck
  colonnade gradcheck --model deep-convnet --elements 5 --images 5")]
pub(crate) struct GradcheckArgs {
    /// The network.
    #[arg(long, value_enum, default_value_t)]
    model: ModelName,
    /// Images in the batch.
    #[arg(long, default_value_t = 2, value_parser = positive)]
    images: usize,
    /// How many elements of each parameter to check.
    #[arg(long, default_value_t = 20, value_parser = positive)]
    elements: usize,
    /// The largest difference that passes.
    #[arg(long, default_value_t = 1e-7)]
    limit: f64,
    /// What weights and images follow from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to run on [default: one per processor]. Does not change the result.
    #[arg(long, value_parser = positive)]
    threads: Option<usize>,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// How far a bias is moved from 0, where a window of zeros would lie in the kink of ReLU.
const BIAS: f64 = 0.1;

pub(crate) fn run(args: &GradcheckArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let mut net: Sequential<f64> = args.model.build_usual(args.seed)?;
    let classes = net.summary()?.last().map_or(1, |layer| layer.output.image_len());
    let biases = |(_, p): &(usize, &mut Parameter<f64>)| p.is_trained() && p.dims().len() == 1;
    for (i, parameter) in net.parameters_mut().enumerate().filter(biases) {
        let noise = Tensor4::<f64>::normal(parameter.shape(), 0.0, BIAS, args.seed ^ i as u64);
        for (bias, noise) in parameter.value_mut().iter_mut().zip(noise.data()) {
            *bias += noise;
        }
    }
    let shape = net.input_shape().with_n(args.images).map_err(net::NetError::from)?;
    let x = Tensor4::normal(shape, 0.0, 1.0, args.seed);
    let labels: Vec<usize> = (0..args.images).map(|image| image % classes).collect();

    let bar = Bar::new("differentiating", 1, args.quiet);
    let options = GradientCheck::default().elements(args.elements);
    let errors = gradient_check(&mut net, x.view(), &labels, options)?;
    drop(bar);
    if args.json {
        let line = |error: &GradientError| {
            let GradientError { name, checked, relative } = error;
            json!({ "name": name, "checked": checked, "relative": relative })
        };
        let lines: Vec<_> = errors.iter().map(line).collect();
        print_json(&json!({ "limit": args.limit, "gradients": lines }))?;
    } else {
        for GradientError { name, checked, relative } in &errors {
            println!("{name:<20} {checked:>5} checked  {relative:9.1e} apart");
        }
    }
    // A NaN fails as well.
    let fails = |error: &&GradientError| error.relative.is_nan() || error.relative > args.limit;
    let parameters: Vec<String> = errors.iter().filter(fails).map(|e| e.name.clone()).collect();
    if parameters.is_empty() {
        Ok(())
    } else {
        Err(Failure::Gradients { limit: args.limit, parameters })
    }
}
