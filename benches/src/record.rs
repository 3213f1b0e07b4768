//! A row of the results.

use std::time::Duration;

use crate::case::Direction;
use crate::csv;

/// The columns of the results.
pub const COLUMNS: [&str; 10] = [
    "name",
    "direction",
    "algorithm",
    "chosen",
    "threads",
    "median_ms",
    "gflops",
    "percent_of_peak",
    "rel_rms_error",
    "workspace_bytes",
];

/// Results further off than this are wrong: hundreds of times the rounding of f32 over the
/// longest sums of the layers, and a hundredth of what one misplaced pixel would do.
pub const WRONG: f64 = 1e-4;

/// What was measured of one algorithm on one direction of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The layer.
    pub name: String,
    /// The direction.
    pub direction: Direction,
    /// The algorithm that was asked for.
    pub algorithm: &'static str,
    /// Threads that could run.
    pub threads: usize,
    /// The numbers, or why there are none.
    pub outcome: Result<Measured, String>,
}

/// The numbers of a [`Record`].
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The algorithm that ran.
    pub chosen: &'static str,
    /// Of one call.
    pub median: Duration,
    /// Counted as a direct convolution, two for each multiply-add: 1e9 a second.
    pub gflops: f64,
    /// Of the FMA peak, where that is known. More than 100 where fewer multiplications do.
    pub percent_of_peak: Option<f64>,
    /// The relative RMS error against f64.
    pub error: f64,
    /// The scratch memory.
    pub workspace_bytes: usize,
}

impl Measured {
    /// Whether the result is that of the reference, up to rounding. NaN is not.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.error <= WRONG
    }
}

impl Record {
    /// The line of the CSV file. Where there are no numbers, `chosen` says why.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let [chosen, median, gflops, percent, error, workspace] = match &self.outcome {
            Ok(measured) => [
                measured.chosen.to_owned(),
                format!("{:.4}", measured.median.as_secs_f64() * 1e3),
                format!("{:.2}", measured.gflops),
                measured.percent_of_peak.map_or(String::new(), |percent| format!("{percent:.1}")),
                format!("{:.2e}", measured.error),
                measured.workspace_bytes.to_string(),
            ],
            Err(reason) => {
                let mut fields = [const { String::new() }; 6];
                fields[0] = format!("none: {reason}");
                fields
            }
        };
        csv::join(&[
            self.name.clone(),
            self.direction.name().to_owned(),
            self.algorithm.to_owned(),
            chosen,
            self.threads.to_string(),
            median,
            gflops,
            percent,
            error,
            workspace,
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{COLUMNS, Measured, Record};
    use crate::case::Direction;
    use crate::csv;

    fn record(outcome: Result<Measured, String>) -> Record {
        let (direction, algorithm) = (Direction::Forward, "auto");
        Record { name: "conv1".to_owned(), direction, algorithm, threads: 2, outcome }
    }

    #[test]
    fn rows() {
        let mut measured = Measured {
            chosen: "direct",
            median: Duration::from_micros(1500),
            gflops: 100.0,
            percent_of_peak: Some(51.26),
            error: 1.25e-7,
            workspace_bytes: 64,
        };
        let row = record(Ok(measured.clone())).to_csv();
        assert_eq!(row, "conv1,forward,auto,direct,2,1.5000,100.00,51.3,1.25e-7,64");
        measured.percent_of_peak = None;
        let row = record(Ok(measured)).to_csv();
        assert_eq!(row, "conv1,forward,auto,direct,2,1.5000,100.00,,1.25e-7,64");
        let row = record(Err("needs 3x3, has 5x5".to_owned())).to_csv();
        assert_eq!(row, "conv1,forward,auto,\"none: needs 3x3, has 5x5\",2,,,,,");
        assert_eq!(csv::split(&row).map(|fields| fields.len()), Ok(COLUMNS.len()));
    }

    #[test]
    fn nan_is_wrong() {
        let error = |error| {
            let median = Duration::from_millis(1);
            let (gflops, percent_of_peak, workspace_bytes) = (1.0, None, 0);
            let chosen = "direct";
            Measured { chosen, median, gflops, percent_of_peak, error, workspace_bytes }
        };
        assert!(error(1e-5).is_right());
        assert!(!error(1e-3).is_right());
        assert!(!error(f64::NAN).is_right());
    }
}
