//! `colonnade eval`.

use net::{Evaluation, TrainOptions, evaluate};
use serde_json::{Map, Value, json};

use crate::args::EvalArgs;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::samples::Data;
use crate::{use_threads, weights_file};

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let data = Data::load(&args.source)?;
    let mut net = args.model.build_empty(Some(data.test.dims()), Some(data.test.classes()))?;
    weights_file::load(&mut net, args.model.name(), &args.weights)?;
    let result = evaluate(&net, &data.test, TrainOptions::default().eval_batch_size)?;
    if args.json {
        return print_json(&Value::Object(as_json(&result)));
    }
    print(&format!("{}\n", accuracy_line(&result)))
}

/// `accuracy 0.9890 (9890/10000)`.
pub(crate) fn accuracy_line(result: &Evaluation) -> String {
    format!("accuracy {:.4} ({}/{})", result.accuracy(), result.correct, result.images)
}

/// The same for programs, with the loss.
pub(crate) fn as_json(result: &Evaluation) -> Map<String, Value> {
    let Evaluation { loss, correct, images } = *result;
    [
        ("accuracy", json!(result.accuracy())),
        ("correct", json!(correct)),
        ("images", json!(images)),
        ("loss", json!(loss)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect()
}
