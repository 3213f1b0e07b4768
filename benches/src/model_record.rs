//! A row of the results of the model timer.

use std::time::Duration;

use crate::csv;
use crate::model::{Task, TimedModel};
use crate::record::WRONG;

/// The columns of the results.
pub const COLUMNS: [&str; 12] = [
    "name",
    "mode",
    "batch",
    "engine",
    "chosen",
    "threads",
    "parameters",
    "median_ms",
    "images_per_s",
    "gflops",
    "percent_of_peak",
    "rel_rms_error",
];

/// What was measured of one network at one task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelRecord {
    /// The network.
    pub model: TimedModel,
    /// What it does.
    pub task: Task,
    /// Images of the batch.
    pub batch: usize,
    /// Threads that could run.
    pub threads: usize,
    /// Numbers that training changes.
    pub parameters: usize,
    /// Of one step, or of one batch.
    pub median: Duration,
    /// Floating-point operations of that, counted by the formula.
    pub operations: f64,
    /// Of the threads: 1e9 operations a second.
    pub peak_gflops: f64,
    /// The relative error against f64.
    pub error: f64,
}

impl ModelRecord {
    /// Images a second.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        self.batch as f64 / self.median.as_secs_f64()
    }

    /// 1e9 operations a second.
    #[must_use]
    pub fn gflops(&self) -> f64 {
        self.operations / self.median.as_secs_f64() / 1e9
    }

    /// Of the FMA peak. More than 100 where fewer multiplications do.
    #[must_use]
    pub fn percent_of_peak(&self) -> f64 {
        100.0 * self.gflops() / self.peak_gflops
    }

    /// Whether the result is that of the reference, up to rounding. NaN is not.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.error <= WRONG
    }

    /// The line of the CSV file.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv::join(&[
            self.model.name().to_owned(),
            self.task.name().to_owned(),
            self.batch.to_string(),
            "colonnade".to_owned(),
            "plan".to_owned(),
            self.threads.to_string(),
            self.parameters.to_string(),
            format!("{:.4}", self.median.as_secs_f64() * 1e3),
            format!("{:.1}", self.images_per_second()),
            format!("{:.2}", self.gflops()),
            format!("{:.1}", self.percent_of_peak()),
            format!("{:.2e}", self.error),
        ])
    }

    /// The names of the columns of [`ModelRecord::row`].
    #[must_use]
    pub fn header() -> String {
        format!(
            "{:<14}  {:<5}  {:>5}  {:>10}  {:>10}  {:>9}  {:>6}  {:>8}",
            "model", "mode", "batch", "ms", "images/s", "GFLOP/s", "% peak", "error"
        )
    }

    /// The row of a table for people.
    #[must_use]
    pub fn row(&self) -> String {
        let verdict = if self.is_right() { "" } else { "  WRONG" };
        format!(
            "{:<14}  {:<5}  {:>5}  {:>10.3}  {:>10.0}  {:>9.1}  {:>6.0}  {:>8.1e}{verdict}",
            self.model.name(),
            self.task.name(),
            self.batch,
            self.median.as_secs_f64() * 1e3,
            self.images_per_second(),
            self.gflops(),
            self.percent_of_peak(),
            self.error
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{COLUMNS, ModelRecord};
    use crate::csv;
    use crate::model::{Task, TimedModel};

    #[test]
    fn rows() {
        let mut record = ModelRecord {
            model: TimedModel::DeepConvNet,
            task: Task::Train,
            batch: 100,
            threads: 2,
            parameters: 123_552,
            median: Duration::from_millis(20),
            operations: 4e9,
            peak_gflops: 400.0,
            error: 1.25e-7,
        };
        let line = record.to_csv();
        let expected =
            "deep-convnet,train,100,colonnade,plan,2,123552,20.0000,5000.0,200.00,50.0,1.25e-7";
        assert_eq!(line, expected);
        assert_eq!(csv::split(&line).map(|fields| fields.len()), Ok(COLUMNS.len()));
        assert_eq!(record.row().len(), ModelRecord::header().len());
        record.error = f64::NAN;
        assert!(record.row().ends_with("WRONG"));
    }
}
