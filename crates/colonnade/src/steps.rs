//! What a training writes down of its steps.

use net::{StepReport, TrainOptions};

use crate::state::Line;

/// The first line of `steps.csv`.
pub(crate) const HEADER: &str = "epoch,step,loss,accuracy,learning_rate\n";

/// How many lines a file has at most: more than a curve can show would only take room.
const LINES: u64 = 2000;

/// How the learning rate runs over a training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// The learning rate of the rule.
    pub(crate) rate: f64,
    /// What becomes of it.
    pub(crate) options: TrainOptions,
    /// The steps of an epoch.
    pub(crate) steps_per_epoch: usize,
}

impl Course {
    /// The learning rate in a step, counted from 1.
    pub(crate) fn rate(&self, step: u64) -> f64 {
        self.rate * self.options.scale(step, self.steps_per_epoch)
    }

    /// The steps of the whole training.
    pub(crate) fn steps(&self) -> u64 {
        (self.options.epochs as u64).saturating_mul(self.steps_per_epoch as u64)
    }
}

/// The lines of `steps.csv`, each the average over a few steps.
pub(crate) struct Steps {
    course: Course,
    /// Steps per line.
    every: u64,
    lines: String,
    /// What the next line has so far.
    line: Line,
}

impl Steps {
    pub(crate) fn new(course: Course) -> Self {
        let every = course.steps().div_ceil(LINES).max(1);
        Self { course, every, lines: HEADER.to_owned(), line: Line::default() }
    }

    /// Goes on with the lines of a file up to a step, and what the next line had so far.
    pub(crate) fn resume(&mut self, file: &str, step: u64, line: Line) {
        self.lines = head(file, HEADER, 1, step);
        self.line = line;
    }

    /// What the next line has so far.
    pub(crate) fn line(&self) -> Line {
        self.line
    }

    /// The learning rate in a step.
    pub(crate) fn rate(&self, step: u64) -> f64 {
        self.course.rate(step)
    }

    /// Takes a step down.
    pub(crate) fn add(&mut self, report: &StepReport) {
        self.line.loss += report.loss * report.images as f64;
        // What was resumed may have been counted by nobody.
        self.line.correct = self.line.correct.saturating_add(report.correct);
        self.line.images = self.line.images.saturating_add(report.images);
        if !report.step.is_multiple_of(self.every) || self.line.images == 0 {
            return;
        }
        let Line { loss, correct, images } = std::mem::take(&mut self.line);
        let part = report.step_in_epoch as f64 / report.steps_per_epoch as f64;
        self.lines += &format!(
            "{:.4},{},{:.6},{:.6},{}\n",
            report.epoch as f64 - 1.0 + part,
            report.step,
            loss / images as f64,
            correct as f64 / images as f64,
            self.course.rate(report.step),
        );
    }

    /// The file so far.
    pub(crate) fn csv(&self) -> &str {
        &self.lines
    }
}

/// The header, and the lines of a file whose value in the given column is at most `last`.
pub(crate) fn head(file: &str, header: &str, column: usize, last: u64) -> String {
    let fits = |line: &&str| {
        let value = line.split(',').nth(column).and_then(|value| value.parse::<u64>().ok());
        value.is_some_and(|value| value <= last)
    };
    let mut head = header.to_owned();
    for line in file.lines().skip(1).filter(fits) {
        head += line;
        head.push('\n');
    }
    head
}

#[cfg(test)]
mod tests {
    use net::Schedule;

    use super::*;

    #[test]
    fn lines_after_a_step_are_cut_off() {
        let file = "a,b\n1,2\n2,4\n3,6\n4";
        assert_eq!(head(file, "c,d\n", 1, 4), "c,d\n1,2\n2,4\n");
        assert_eq!(head("", "c,d\n", 1, 4), "c,d\n");
    }

    #[test]
    fn lines_are_averages_over_a_few_steps() {
        let options = TrainOptions::default().epochs(4).schedule(Schedule::Linear);
        let course = Course { rate: 0.5, options, steps_per_epoch: 1000 };
        let mut steps = Steps::new(course);
        for step in 1..=5 {
            steps.add(&StepReport {
                epoch: 2,
                epochs: 4,
                step,
                step_in_epoch: step as usize,
                steps_per_epoch: 1000,
                loss: step as f64,
                correct: 5,
                images: 10,
            });
        }
        // The fifth step waits for the sixth.
        let expected = format!(
            "{HEADER}1.0020,2,1.500000,0.500000,{}\n1.0040,4,3.500000,0.500000,{}\n",
            0.5 * 3999.0 / 4000.0,
            0.5 * 3997.0 / 4000.0
        );
        assert_eq!(steps.csv(), expected);
    }
}
