//! What a training shows while it runs, and writes after each epoch.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use net::{
    Checkpoint, Control, EpochReport, Evaluation, NetError, Observer, Sequential, StepReport,
};

use crate::failure::Failure;
use crate::files::{RunFolder, read_table, write_whole};
use crate::interrupt::Interrupt;
use crate::state::{self, Best, Mark};
use crate::steps::{self, Course, Steps};
use crate::weights_file;

const HEADER: &str =
    "epoch,step,train_loss,train_accuracy,test_loss,test_accuracy,seconds,learning_rate\n";

/// How much of a running average each step replaces.
const SMOOTHING: f64 = 0.02;

/// Shows a bar on a terminal and a line per epoch anywhere; keeps weights and metrics on disk.
pub(crate) struct Progress<'a> {
    folder: &'a RunFolder,
    model: &'static str,
    interrupt: Interrupt,
    bar: ProgressBar,
    quiet: bool,
    started: Instant,
    /// How long it was trained before.
    before: Duration,
    images: u64,
    loss: Option<f64>,
    accuracy: Option<f64>,
    metrics: String,
    steps: Steps,
    /// How many epochs may pass without a better one.
    patience: Option<usize>,
    best: Option<Best>,
    stopped_early: bool,
    /// The last step, if it was interrupted there.
    pub(crate) interrupted_at: Option<u64>,
    /// The last weights written, if there are any.
    pub(crate) saved: PathBuf,
    /// Why weights or metrics could not be written.
    pub(crate) failure: Option<Failure>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(
        folder: &'a RunFolder,
        model: &'static str,
        course: Course,
        patience: Option<usize>,
        quiet: bool,
        interrupt: Interrupt,
    ) -> Self {
        // Ten times a second at most; nothing at all where standard error is not a terminal.
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(10)
        };
        let bar = ProgressBar::with_draw_target(Some(course.steps()), target);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}  {eta} left");
        bar.set_style(style.expect("the template is valid").progress_chars("━━─"));
        Self {
            folder,
            model,
            interrupt,
            bar,
            quiet,
            started: Instant::now(),
            before: Duration::ZERO,
            images: 0,
            loss: None,
            accuracy: None,
            metrics: HEADER.to_owned(),
            steps: Steps::new(course),
            patience,
            best: None,
            stopped_early: false,
            interrupted_at: None,
            saved: folder.initial(),
            failure: None,
        }
    }

    /// Goes on where a run stands, with the files that it left.
    pub(crate) fn resume(&mut self, mark: &Mark) -> Result<(), Failure> {
        let read = |path: PathBuf| read_table(&path, "read it");
        let position = mark.position();
        let metrics = read(self.folder.metrics())?;
        self.metrics = steps::head(&metrics, HEADER, 0, position.epochs as u64);
        self.steps.resume(&read(self.folder.steps())?, position.step, mark.line);
        // What no clock could have measured is not worth a failure.
        self.before = Duration::try_from_secs_f64(mark.seconds).unwrap_or_default();
        self.best = mark.best.filter(|_| self.patience.is_some());
        if self.folder.model().exists() {
            self.saved = self.folder.model();
        }
        // Or the estimate would take the steps before for quick ones.
        self.bar.set_position(position.step);
        self.bar.reset_eta();
        Ok(())
    }

    /// The epoch whose weights are kept, if one is chosen.
    pub(crate) fn best(&self) -> Option<Best> {
        self.best
    }

    /// Whether a better epoch was waited for no longer.
    pub(crate) fn stopped_early(&self) -> bool {
        self.stopped_early
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// How long it has been trained, together with the time before it was resumed.
    pub(crate) fn elapsed(&self) -> Duration {
        self.before.saturating_add(self.started.elapsed())
    }

    fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() {
            // A closed pipe is no reason to lose a training.
            let _ = writeln!(std::io::stderr(), "{line}");
        } else {
            self.bar.println(line);
        }
    }

    fn write(&mut self, report: &EpochReport, net: &Sequential<f32>) -> Result<(), Failure> {
        let EpochReport { epoch, step, train, test, .. } = report;
        let (test_loss, test_accuracy) =
            test.map_or((f64::NAN, f64::NAN), |t| (t.loss, t.accuracy()));
        self.metrics += &format!(
            "{epoch},{step},{:.6},{:.6},{test_loss:.6},{test_accuracy:.6},{:.3},{}\n",
            train.loss,
            train.accuracy(),
            self.elapsed().as_secs_f64(),
            self.steps.rate(*step),
        );
        if self.is_kept(*epoch, test.as_ref()) {
            weights_file::save(net, self.model, &self.folder.model())?;
            self.saved = self.folder.model();
        }
        write_whole(&self.folder.steps(), self.steps.csv().as_bytes())?;
        write_whole(&self.folder.metrics(), self.metrics.as_bytes())
    }

    /// Whether the weights of an epoch are those to keep: always, unless the best are chosen.
    fn is_kept(&mut self, epoch: usize, test: Option<&Evaluation>) -> bool {
        let (Some(_), Some(test)) = (self.patience, test) else { return true };
        if self.best.is_some_and(|best| best.test().accuracy() >= test.accuracy()) {
            return false;
        }
        self.best = Some(Best::new(epoch, test));
        true
    }

    fn write_state(&mut self, checkpoint: &Checkpoint<'_, f32>) -> Result<(), Failure> {
        let (position, line) = (checkpoint.position(), self.steps.line());
        let mark = Mark::new(position, line, self.elapsed().as_secs_f64(), self.best);
        // The state last: what it finds beyond it in the other files is cut off.
        write_whole(&self.folder.steps(), self.steps.csv().as_bytes())?;
        state::save(checkpoint, &mark, self.folder)
    }

    /// Keeps why the training can't go on.
    fn end(&mut self, failure: Failure) -> NetError {
        let message = failure.to_string();
        self.failure = Some(failure);
        NetError::Observer { message }
    }
}

impl Observer<f32> for Progress<'_> {
    fn on_step(&mut self, report: &StepReport) -> Control {
        let mix =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old + SMOOTHING * (new - old)));
        self.steps.add(report);
        self.images += report.images as u64;
        self.loss = mix(self.loss, report.loss);
        self.accuracy = mix(self.accuracy, report.correct as f64 / report.images as f64);
        if !self.bar.is_hidden() {
            let rate = self.images as f64 / self.started.elapsed().as_secs_f64();
            self.bar.set_prefix(format!("epoch {}/{}", report.epoch, report.epochs));
            self.bar.set_message(format!(
                "loss {:.4}  accuracy {:.4}  {rate:.0} images/s",
                self.loss.unwrap_or(f64::NAN),
                self.accuracy.unwrap_or(f64::NAN),
            ));
            self.bar.set_position(report.step);
        }
        if self.interrupt.requested() {
            self.interrupted_at = Some(report.step);
            return Control::Stop;
        }
        Control::Continue
    }

    fn on_epoch(
        &mut self,
        report: &EpochReport,
        net: &Sequential<f32>,
    ) -> Result<Control, NetError> {
        self.write(report, net).map_err(|failure| self.end(failure))?;
        let test = report.test.map_or(String::new(), |test| {
            format!("  test loss {:.4}  test accuracy {:.4}", test.loss, test.accuracy())
        });
        self.line(&format!(
            "epoch {:>2}/{}  loss {:.4}  accuracy {:.4}{test}  {:.0} s",
            report.epoch,
            report.epochs,
            report.train.loss,
            report.train.accuracy(),
            self.elapsed().as_secs_f64(),
        ));
        if let (Some(patience), Some(best)) = (self.patience, self.best)
            && report.epoch.saturating_sub(best.epoch) >= patience
            && report.epoch < report.epochs
        {
            self.stopped_early = true;
            self.line(&format!(
                "no better for {patience} epochs: the weights of epoch {} are kept",
                best.epoch
            ));
            return Ok(Control::Stop);
        }
        Ok(Control::Continue)
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint<'_, f32>) -> Result<(), NetError> {
        self.write_state(checkpoint).map_err(|failure| self.end(failure))
    }
}

/// Makes sure that metrics can be written before an epoch has been spent on them.
pub(crate) fn begin_metrics(folder: &RunFolder) -> Result<(), Failure> {
    for (path, header) in [(folder.metrics(), HEADER), (folder.steps(), steps::HEADER)] {
        write_whole(&path, header.as_bytes())?;
    }
    Ok(())
}
