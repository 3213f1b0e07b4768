//! The settings of a run as a file that `train --config` and `train --resume` read.

use std::path::Path;

use clap::ValueEnum;
use net::models::Recipe;
use net::{Rule, Schedule, TrainOptions};
use toml::Value;

use crate::args::TrainArgs;
use crate::data::DatasetName;
use crate::failure::Failure;
use crate::files::write_whole;

/// Writes all that the weights of a run follow from, under the names of the flags.
pub(crate) fn write(path: &Path, args: &TrainArgs, recipe: &Recipe) -> Result<(), Failure> {
    let mut text =
        "# The settings of this run: `colonnade train --config` takes them.\n".to_owned();
    for (key, value) in settings(args, recipe) {
        text += &format!("{key} = {value}\n");
    }
    write_whole(path, text.as_bytes())
}

fn settings(args: &TrainArgs, recipe: &Recipe) -> Vec<(&'static str, Value)> {
    let Recipe { options, rule, .. } = recipe;
    let pictures = &args.source.pictures;
    let given = [
        ("data", args.source.data.as_deref().map(data)),
        ("resize", pictures.shorter_side().map(|pixels| number(pixels as u64))),
        ("augment", args.augment.map(|changes| changes.to_string().into())),
        ("limit", args.limit.map(|images| number(images as u64))),
        ("early-stop", args.early_stop.map(|epochs| number(epochs as u64))),
    ];
    let mut settings = vec![("model", args.model.name().into())];
    settings.extend(given.into_iter().filter_map(|(key, value)| Some((key, value?))));
    settings.push(("image-size", pictures.size().into()));
    settings.push(("grey", pictures.is_grey().into()));
    settings.push(("normalize", args.source.normalize.into()));
    settings.extend(course(options, *rule));
    settings.push(("seed", number(options.seed)));
    settings
}

/// What the network brings, unless it was said otherwise.
fn course(options: &TrainOptions, rule: Rule) -> Vec<(&'static str, Value)> {
    let mut settings = vec![
        ("epochs", number(options.epochs as u64)),
        ("batch-size", number(options.batch_size as u64)),
        ("optimizer", rule.name().into()),
        ("lr", rule.learning_rate().into()),
        ("weight-decay", rule.weight_decay().into()),
        ("schedule", options.schedule.name().into()),
        ("warmup", number(options.warm_up)),
        ("average", options.average.unwrap_or(0.0).into()),
    ];
    if let Schedule::Step { epochs, factor } = options.schedule {
        settings.push(("step-epochs", number(epochs as u64)));
        settings.push(("step-factor", factor.into()));
    }
    settings
}

/// A name stays as it is; a path must also lead there from another folder.
fn data(path: &Path) -> Value {
    let is_name = DatasetName::value_variants().iter().any(|set| path.as_os_str() == set.name());
    let kept = || path.to_owned();
    let path = if is_name { kept() } else { std::path::absolute(path).unwrap_or_else(|_| kept()) };
    path.display().to_string().into()
}

/// Integers of TOML have a sign; what is larger becomes a text, which is read likewise.
fn number(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| Value::String(value.to_string()), Value::Integer)
}
