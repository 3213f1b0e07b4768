//! `colonnade train`.

use std::fs;
use std::path::{Path, PathBuf};

use net::models::Recipe;
use net::{EpochReport, NetError, Samples, Sequential, Trainer};
use serde::Serialize;
use serde_json::json;

use crate::args::TrainArgs;
use crate::date::Date;
use crate::eval::{accuracy_line, as_json};
use crate::failure::Failure;
use crate::files::{RunFolder, failed, write_json};
use crate::interrupt::Interrupt;
use crate::output::{print, print_json};
use crate::progress::{Progress, begin_metrics};
use crate::run::Run;
use crate::samples::{CountEpochs, Data};
use crate::state::{Mark, State};
use crate::steps::Course;
use crate::{settings, use_threads, weights_file};

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
    weight_decay: f64,
    schedule: &'static str,
    warm_up_steps: u64,
    average: f64,
    early_stop: Option<usize>,
    seed: u64,
    threads: usize,
}

impl<'a> Config<'a> {
    fn new(
        args: &TrainArgs,
        data: &'a Data,
        net: &Sequential<f32>,
        recipe: &Recipe,
        date: String,
    ) -> Self {
        let Recipe { options, rule, .. } = recipe;
        Self {
            program: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            date,
            model: args.model.name(),
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
            weight_decay: rule.weight_decay(),
            schedule: options.schedule.name(),
            warm_up_steps: options.warm_up,
            average: options.average.unwrap_or(0.0),
            early_stop: args.early_stop,
            seed: args.seed,
            threads: rayon::current_num_threads(),
        }
    }
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
    let (input, classes) = (data.train.dims(), data.train.classes());
    let mut net = args.model.build(Some(input), classes, args.seed)?;
    let recipe = args.recipe(data.train.len());
    let Recipe { options, rule, .. } = recipe;
    let mut trainer = Trainer::new(options, rule)?;

    // Before the folder is there: who sees it may press Ctrl-C.
    let interrupt = Interrupt::listen();
    let (folder, mark) = match &args.resume {
        None => (begin(args, &data, &net, &recipe)?, None),
        Some(path) => {
            let (folder, mark, date) = resume(args, path, &recipe, &mut trainer, &mut net)?;
            write_settings(&folder, args, &Config::new(args, &data, &net, &recipe, date), &recipe)?;
            data.train.begin_after(mark.position().epochs);
            (folder, Some(mark))
        }
    };
    if !args.quiet {
        let from = mark.as_ref().map(|mark| format!(", from step {}", mark.position().step));
        eprintln!(
            "{} ({} parameters) on {}: {} images, {} to test; {} epochs, {}, seed {}{}",
            args.model.name(),
            net.parameter_count(),
            data.source,
            data.train.len(),
            data.test.len(),
            options.epochs,
            rule.name(),
            args.seed,
            from.unwrap_or_default(),
        );
    }
    let steps_per_epoch = data.train.len().div_ceil(options.batch_size);
    let course = Course { rate: rule.learning_rate(), options, steps_per_epoch };
    let (model, patience) = (args.model.name(), args.early_stop);
    let mut progress = Progress::new(&folder, model, course, patience, args.quiet, interrupt);
    if let Some(mark) = &mark {
        progress.resume(mark)?;
    }
    let reports = fit(&mut trainer, &mut net, &data, &mut progress)?;
    if let Some(step) = progress.interrupted_at {
        let best = progress.best().is_some();
        if !best {
            weights_file::save(&net, model, &folder.model())?;
        }
        let (weights, run) = (folder.model(), folder.path().to_owned());
        return Err(Failure::Interrupted { step, best, weights, run });
    }
    conclude(args, &folder, &progress, &reports)
}

/// A run folder with all that is known before the first step.
fn begin(
    args: &TrainArgs,
    data: &Data,
    net: &Sequential<f32>,
    recipe: &Recipe,
) -> Result<RunFolder, Failure> {
    let date = Date::now();
    let folder = RunFolder::create(args.out.clone().unwrap_or_else(|| default_folder(args, date)))?;
    write_settings(&folder, args, &Config::new(args, data, net, recipe, date.iso()), recipe)?;
    begin_metrics(&folder)?;
    weights_file::save(net, args.model.name(), &folder.initial())?;
    Ok(folder)
}

fn write_settings(
    folder: &RunFolder,
    args: &TrainArgs,
    config: &Config<'_>,
    recipe: &Recipe,
) -> Result<(), Failure> {
    settings::write(&folder.settings(), args, recipe)?;
    write_json(&folder.config(), config)
}

/// Puts the newest state of a run that can be read into trainer and network; also says when it began.
fn resume(
    args: &TrainArgs,
    path: &Path,
    recipe: &Recipe,
    trainer: &mut Trainer<f32>,
    net: &mut Sequential<f32>,
) -> Result<(RunFolder, Mark, String), Failure> {
    let date = Run::open(path)?.date();
    let folder = RunFolder::open(path.to_owned());
    folder.remove_strays()?;
    let go_on = |file: &Path, trainer: &mut _, net: &mut _| {
        let state = State::load(file)?;
        // A state that leaves nothing to do is as good as any.
        match nothing_to_do(&state.mark, args, path, recipe) {
            Some(failure) => Ok(Err(failure)),
            None => state.restore(trainer, net).map(|()| Ok(state.mark)).map_err(Failure::Net),
        }
    };
    let (newest, previous) = (folder.state(), folder.previous_state());
    let mark = match (newest.exists(), previous.exists()) {
        (false, false) => return Err(Failure::NoState { path: path.to_owned() }),
        (true, false) => go_on(&newest, trainer, net)??,
        (false, true) => {
            let mark = go_on(&previous, trainer, net)??;
            eprintln!("{} is missing: going on from the one before", newest.display());
            mark
        }
        (true, true) => match go_on(&newest, trainer, net) {
            Ok(mark) => mark?,
            Err(failure) => {
                // Where neither will do, the newest says why.
                let Ok(mark) = go_on(&previous, trainer, net) else { return Err(failure) };
                let (mark, damaged) = (mark?, folder.damaged_state());
                // Out of the way, or it would take the place of the good one.
                fs::rename(&newest, &damaged).map_err(|e| failed("rename it", &newest, e))?;
                eprintln!(
                    "{failure}\ngoing on from the state before; the damaged one is now {}",
                    damaged.display()
                );
                mark
            }
        },
    };
    Ok((folder, mark, date))
}

/// Why a training that stands here does not go on.
fn nothing_to_do(mark: &Mark, args: &TrainArgs, path: &Path, recipe: &Recipe) -> Option<Failure> {
    let (path, done) = (path.to_owned(), mark.position().epochs);
    if done >= recipe.options.epochs {
        return Some(Failure::AllDone { path, done });
    }
    let since = done.saturating_sub(mark.best?.epoch);
    args.early_stop.filter(|&patience| since >= patience)?;
    Some(Failure::StoppedEarly { path, since })
}

fn fit(
    trainer: &mut Trainer<f32>,
    net: &mut Sequential<f32>,
    data: &Data,
    progress: &mut Progress<'_>,
) -> Result<Vec<EpochReport>, Failure> {
    let mut observer = CountEpochs { observer: progress, images: &data.train };
    let result = trainer.fit(net, &data.train, Some(&data.test), &mut observer);
    progress.finish();
    result.map_err(|net| match net {
        NetError::NonFiniteLoss { .. } | NetError::NonFiniteParameter { .. } => {
            Failure::Diverged { net: Box::new(net), weights: progress.saved.clone() }
        }
        net => progress.failure.take().unwrap_or(Failure::Net(net)),
    })
}

/// Prints how the weights that are kept did.
fn conclude(
    args: &TrainArgs,
    folder: &RunFolder,
    progress: &Progress<'_>,
    reports: &[EpochReport],
) -> Result<(), Failure> {
    let Some(last) = reports.last() else { return Ok(()) };
    let kept = progress.best().map(|best| (best.epoch, best.test()));
    let Some((epoch, test)) = kept.or(last.test.map(|test| (last.epoch, test))) else {
        return Ok(());
    };
    let seconds = progress.elapsed().as_secs_f64();
    if args.json {
        let mut result = as_json(&test);
        result.extend([
            ("run".to_owned(), json!(folder.path())),
            ("weights".to_owned(), json!(folder.model())),
            ("model".to_owned(), json!(args.model.name())),
            ("seed".to_owned(), json!(args.seed)),
            ("epoch".to_owned(), json!(epoch)),
            ("epochs".to_owned(), json!(last.epoch)),
            ("stopped_early".to_owned(), json!(progress.stopped_early())),
            ("seconds".to_owned(), json!(seconds)),
        ]);
        print_json(&result.into())?;
    } else {
        print(&format!("{}\n", accuracy_line(&test)))?;
    }
    if !args.quiet {
        eprintln!("{} in {seconds:.1} s", folder.path().display());
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
