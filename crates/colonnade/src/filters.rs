//! `colonnade filters`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use report::filters_before_and_after;
use serde_json::json;

use crate::failure::Failure;
use crate::files::write_whole;
use crate::run::Run;

/// Draws the first layer's filters before training (left) and after it (right).
///
/// Each filter has the same place on both sides and a grey scale of its own, from its smallest
/// weight (black) to its largest (white).
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Example:
  colonnade filters --run runs/NAME                 writes runs/NAME/filters.png")]
pub(crate) struct FiltersArgs {
    /// The run folder, as `train` leaves it.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The picture [default: filters.png in the run folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &FiltersArgs) -> Result<(), Failure> {
    let run = Run::open(&args.run)?;
    let picture = filters_before_and_after(&run.initial()?, &run.trained()?)?;
    let path = args.out.clone().unwrap_or_else(|| run.folder().path().join("filters.png"));
    write_whole(&path, &picture.to_png())?;
    if args.json {
        let (width, height) = (picture.width(), picture.height());
        println!("{}", json!({ "file": path, "width": width, "height": height }));
    } else {
        println!("{}: before training on the left, after it on the right", path.display());
    }
    Ok(())
}
