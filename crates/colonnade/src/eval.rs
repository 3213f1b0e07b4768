//! `colonnade eval`.

use net::{Evaluation, TrainOptions, evaluate};

use crate::args::EvalArgs;
use crate::failure::Failure;
use crate::samples::Data;
use crate::{use_threads, weights};

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let data = Data::load(&args.source)?;
    let mut net = args.model.build_empty(Some(data.test.dims()), Some(data.test.classes()))?;
    weights::load(&mut net, &args.weights)?;
    let result = evaluate(&net, &data.test, TrainOptions::default().eval_batch_size)?;
    println!("{}", accuracy_line(&result));
    Ok(())
}

/// `accuracy 0.9890 (9890/10000)`.
pub(crate) fn accuracy_line(result: &Evaluation) -> String {
    format!("accuracy {:.4} ({}/{})", result.accuracy(), result.correct, result.images)
}
