//! The results as a table for people.

use std::io::{IsTerminal, Write};

use crate::record::{Measured, Record};

/// Writes the table a row at a time, so that a long run can be watched.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    name_width: usize,
    colours: bool,
}

impl Table {
    /// A table for these names. It has colours where standard output is a terminal and
    /// `NO_COLOR` is unset or empty.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let name_width = names.into_iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let colours = !unwanted && std::io::stdout().is_terminal();
        Self { name_width: name_width.max("layer".len()), colours }
    }

    /// The names of the columns.
    #[must_use]
    pub fn header(&self) -> String {
        let width = self.name_width;
        let text = format!(
            "{:width$}  {:<16}  {:<11}  {:<11}  {:>10}  {:>9}  {:>6}  {:>8}  {:>10}",
            "layer",
            "direction",
            "algorithm",
            "chosen",
            "ms",
            "GFLOP/s",
            "% peak",
            "error",
            "workspace"
        );
        self.paint("1", &text)
    }

    /// One row.
    #[must_use]
    pub fn row(&self, record: &Record) -> String {
        let width = self.name_width;
        let Record { name, direction, algorithm, outcome, .. } = record;
        let start = format!("{name:width$}  {:<16}  {algorithm:<11}", direction.name());
        match outcome {
            Ok(measured) => format!("{start}  {}", self.numbers(measured)),
            Err(reason) => format!("{start}  {}", self.paint("2", reason)),
        }
    }

    fn numbers(&self, measured: &Measured) -> String {
        let Measured { chosen, median, gflops, percent_of_peak, error, workspace_bytes } = measured;
        let percent = percent_of_peak.map_or("?".to_owned(), |percent| format!("{percent:.0}"));
        let percent = format!("{percent:>6}");
        let percent = match percent_of_peak {
            Some(90.0..) => self.paint("32", &percent),
            Some(50.0..) | None => percent,
            Some(_) => self.paint("33", &percent),
        };
        let error = format!("{error:>8.1e}");
        let (error, verdict) = if measured.is_right() {
            (error, String::new())
        } else {
            (self.paint("1;31", &error), self.paint("1;31", "  WRONG"))
        };
        let ms = median.as_secs_f64() * 1e3;
        let workspace = bytes(*workspace_bytes);
        format!(
            "{chosen:<11}  {ms:>10.3}  {gflops:>9.1}  {percent}  {error}  {workspace:>10}{verdict}"
        )
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints a line at once. A reader that goes away ends the program without a panic.
///
/// # Errors
///
/// It cannot be written.
pub fn print_line(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| format!("standard output: {error}"))
}

/// Threads for people.
#[must_use]
pub fn threads(count: usize) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}

/// A size for people: `640 B`, `1.5 KiB`, `12.0 MiB`.
#[must_use]
pub fn bytes(bytes: usize) -> String {
    let units = [("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|&(_, size)| bytes >= size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Table, bytes};
    use crate::case::Direction;
    use crate::record::{Measured, Record};

    #[test]
    fn columns_line_up() {
        let table = Table { name_width: 8, colours: false };
        let mut measured = Measured {
            chosen: "im2col-gemm",
            median: Duration::from_micros(12_345),
            gflops: 181.25,
            percent_of_peak: Some(78.9),
            error: 2.5e-7,
            workspace_bytes: 3 << 20,
        };
        let record = |outcome| Record {
            name: "conv1".to_owned(),
            direction: Direction::BackwardWeights,
            algorithm: "auto",
            threads: 2,
            outcome,
        };
        let row = table.row(&record(Ok(measured.clone())));
        assert_eq!(row.len(), table.header().len(), "{row}");
        assert!(row.contains(" 12.345 ") && row.contains(" 79 ") && row.ends_with("3.0 MiB"));
        measured.error = 0.5;
        let row = Table { colours: true, ..table }.row(&record(Ok(measured)));
        assert!(row.contains("\x1b[1;31m") && row.contains("WRONG"), "{row}");
        let row = table.row(&record(Err("needs 3x3".to_owned())));
        assert!(row.ends_with("auto         needs 3x3"), "{row:?}");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(12 << 20), "12.0 MiB");
    }
}
