//! What a training writes down of its steps.

use net::{Schedule, StepReport};

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
    pub(crate) schedule: Schedule,
    /// The steps of the whole training.
    pub(crate) steps: u64,
}

impl Course {
    /// The learning rate in a step, counted from 1.
    pub(crate) fn rate(&self, step: u64) -> f64 {
        self.rate * self.schedule.scale(step, self.steps)
    }
}

/// The lines of `steps.csv`, each the average over a few steps.
pub(crate) struct Steps {
    course: Course,
    /// Steps per line.
    every: u64,
    lines: String,
    loss: f64,
    correct: usize,
    images: usize,
}

impl Steps {
    pub(crate) fn new(course: Course) -> Self {
        let every = course.steps.div_ceil(LINES).max(1);
        Self { course, every, lines: HEADER.to_owned(), loss: 0.0, correct: 0, images: 0 }
    }

    /// The learning rate in a step.
    pub(crate) fn rate(&self, step: u64) -> f64 {
        self.course.rate(step)
    }

    /// Takes a step down.
    pub(crate) fn add(&mut self, report: &StepReport) {
        self.loss += report.loss * report.images as f64;
        self.correct += report.correct;
        self.images += report.images;
        if !report.step.is_multiple_of(self.every) || self.images == 0 {
            return;
        }
        let part = report.step_in_epoch as f64 / report.steps_per_epoch as f64;
        self.lines += &format!(
            "{:.4},{},{:.6},{:.6},{}\n",
            report.epoch as f64 - 1.0 + part,
            report.step,
            self.loss / self.images as f64,
            self.correct as f64 / self.images as f64,
            self.course.rate(report.step),
        );
        (self.loss, self.correct, self.images) = (0.0, 0, 0);
    }

    /// The file so far.
    pub(crate) fn csv(&self) -> &str {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_averages_over_a_few_steps() {
        let course = Course { rate: 0.5, schedule: Schedule::Linear, steps: 4000 };
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
