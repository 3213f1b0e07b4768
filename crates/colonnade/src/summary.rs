//! `colonnade summary`.

use net::LayerSummary;
use serde_json::{Value, json};

use crate::args::SummaryArgs;
use crate::failure::Failure;
use crate::output::{print, print_json};

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let net = args.model.build_empty(None, None)?;
    let layers = net.summary()?;
    if !args.json {
        return print(&report::summary_table(net.input_shape(), &layers));
    }
    let lines: Vec<Value> = layers.iter().map(as_json).collect();
    print_json(&json!({
        "model": args.model.name(),
        "input": &net.input_shape().dims()[1..],
        "layers": lines,
        "parameters": net.parameter_count(),
        "multiply_adds": layers.iter().map(|layer| layer.multiply_adds).sum::<u64>(),
    }))
}

fn as_json(layer: &LayerSummary) -> Value {
    json!({
        "name": layer.name,
        "kind": layer.kind,
        "within": layer.within,
        "output": &layer.output.dims()[1..],
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
    })
}
