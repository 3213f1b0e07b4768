//! `colonnade train`.

use std::path::PathBuf;

use net::models::Recipe;
use net::{NetError, Samples, Trainer};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::date::Date;
use crate::eval::accuracy_line;
use crate::failure::Failure;
use crate::files::{RunFolder, write_json};
use crate::interrupt::Interrupt;
use crate::progress::{Progress, begin_metrics};
use crate::samples::{CountEpochs, Data};
use crate::steps::Course;
use crate::{use_threads, weights};

/// The settings of a run, as `config.json` holds them.
#[derive(Serialize)]
struct Config<'a> {
    program: &'static str,
    version: &'static str,
    date: String,
    model: &'static str,
    input: [usize; 3],
    classes: usize,
    parameters: usize,
    data: &'a str,
    /// What the names of the classes are; none where they are numbers.
    class_names: &'a [String],
    /// How pictures were scaled before their centre was cut out.
    resize: Option<usize>,
    normalize: bool,
    /// What was taken from each channel, and what it was divided by, if it was normalised.
    mean: &'a [f32],
    std: &'a [f32],
    augment: Option<String>,
    train_images: usize,
    test_images: usize,
    epochs: usize,
    batch_size: usize,
    optimizer: &'static str,
    learning_rate: f64,
    schedule: &'static str,
    average: f64,
    seed: u64,
    threads: usize,
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let mut data = Data::load(&args.source)?;
    if let Some(limit) = args.limit {
        data.train = data.train.head(limit);
    }
    if let Some(augmentation) = args.augment {
        data.train = data.train.augment(augmentation, args.seed)?;
    }
    let model = args.model.name();
    let mut net = args.model.build(Some(data.train.dims()), data.train.classes(), args.seed)?;
    let Recipe { options, rule, .. } = args.recipe();
    let mut trainer = Trainer::new(options, rule)?;

    let date = Date::now();
    let folder = RunFolder::create(args.out.clone().unwrap_or_else(|| default_folder(args, date)))?;
    let config = Config {
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        date: date.iso(),
        model,
        input: data.train.dims(),
        classes: data.train.classes(),
        parameters: net.parameter_count(),
        data: &data.source,
        class_names: data.train.class_names(),
        resize: args.source.pictures.shorter_side(),
        normalize: args.source.normalize,
        mean: data.normalization.as_ref().map_or(&[], |found| found.mean()),
        std: data.normalization.as_ref().map_or(&[], |found| found.std()),
        augment: args.augment.map(|augmentation| augmentation.to_string()),
        train_images: data.train.len(),
        test_images: data.test.len(),
        epochs: options.epochs,
        batch_size: options.batch_size,
        optimizer: rule.name(),
        learning_rate: rule.learning_rate(),
        schedule: options.schedule.name(),
        average: options.average.unwrap_or(0.0),
        seed: args.seed,
        threads: rayon::current_num_threads(),
    };
    write_json(&folder.config(), &config)?;
    begin_metrics(&folder)?;
    weights::save(&net, model, &folder.initial())?;

    if !args.quiet {
        eprintln!(
            "{model} ({} parameters) on {}: {} images, {} to test; {} epochs, {}, seed {}",
            config.parameters,
            data.source,
            config.train_images,
            config.test_images,
            options.epochs,
            rule.name(),
            args.seed,
        );
    }
    let interrupt = Interrupt::listen();
    let steps = options.epochs as u64 * data.train.len().div_ceil(options.batch_size) as u64;
    let course = Course { rate: rule.learning_rate(), schedule: options.schedule, steps };
    let mut progress = Progress::new(&folder, model, course, args.quiet, interrupt);
    let mut observer = CountEpochs { observer: &mut progress, images: &data.train };
    let result = trainer.fit(&mut net, &data.train, Some(&data.test), &mut observer);
    progress.finish();
    let reports = match result {
        Ok(reports) => reports,
        Err(net @ (NetError::NonFiniteLoss { .. } | NetError::NonFiniteParameter { .. })) => {
            return Err(Failure::Diverged { net: Box::new(net), weights: progress.saved });
        }
        Err(net) => return Err(progress.failure.unwrap_or(Failure::Net(net))),
    };
    if let Some(step) = progress.interrupted_at {
        weights::save(&net, model, &folder.model())?;
        return Err(Failure::Interrupted { step, weights: folder.model() });
    }
    if let Some(test) = reports.last().and_then(|report| report.test) {
        println!("{}", accuracy_line(&test));
    }
    if !args.quiet {
        eprintln!("{} in {:.1} s", folder.path().display(), progress.elapsed().as_secs_f64());
    }
    Ok(())
}

/// `runs/simple-convnet-20260102-030405-seed7`, with a number where that is taken.
fn default_folder(args: &TrainArgs, date: Date) -> PathBuf {
    let name = format!("{}-{}-seed{}", args.model.name(), date.compact(), args.seed);
    let runs = PathBuf::from("runs");
    let first = runs.join(&name);
    let more = (2..).map(|number| runs.join(format!("{name}-{number}")));
    std::iter::once(first).chain(more).find(|path| !path.exists()).expect("numbers don't end")
}
