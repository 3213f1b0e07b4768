//! `colonnade summary`.

use crate::args::SummaryArgs;
use crate::failure::Failure;

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let net = args.model.build::<f32>(None, dataset::mnist::CLASSES, 0)?;
    print!("{}", report::summary_table(net.input_shape(), &net.summary()?));
    Ok(())
}
