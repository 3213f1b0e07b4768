//! `colonnade summary`.

use crate::args::SummaryArgs;
use crate::failure::Failure;

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let net = args.model.build_empty(None, None)?;
    print!("{}", report::summary_table(net.input_shape(), &net.summary()?));
    Ok(())
}
