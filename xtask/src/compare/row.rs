//! A row of a timer: ours or a peer's.

/// The columns that every timer writes.
pub(super) const COLUMNS: [&str; 10] = [
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

/// Where [`COLUMNS`] has what the comparison reads.
const CHOSEN: usize = 3;
const MEDIAN_MS: usize = 5;
const GFLOPS: usize = 6;
const ERROR: usize = 8;

/// Results further off than this are wrong, in every timer.
const WRONG: f64 = 1e-4;

/// One row, and its numbers if it has any.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) fields: Vec<String>,
    /// Nothing if the timer could not serve the layer.
    pub(super) numbers: Option<Numbers>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Numbers {
    pub(super) median_ms: f64,
    pub(super) gflops: f64,
    pub(super) error: f64,
}

impl Row {
    /// Reads a line of [`COLUMNS`].
    ///
    /// # Errors
    ///
    /// It has other columns, or a number is none.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let fields = split(line)?;
        if fields.len() != COLUMNS.len() {
            let count = fields.len();
            return Err(format!("has {count} fields, expected {}: {line}", COLUMNS.len()));
        }
        let number = |at: usize| {
            fields[at].parse::<f64>().map_err(|_| {
                format!("{} is {:?}, expected a number: {line}", COLUMNS[at], fields[at])
            })
        };
        let numbers = if fields[MEDIAN_MS].is_empty() {
            None
        } else {
            let (median_ms, gflops) = (number(MEDIAN_MS)?, number(GFLOPS)?);
            if !(median_ms > 0.0 && median_ms.is_finite()) {
                return Err(format!("median_ms is {median_ms}, expected more than zero: {line}"));
            }
            Some(Numbers { median_ms, gflops, error: number(ERROR)? })
        };
        Ok(Self { fields, numbers })
    }

    /// What ran, or why nothing did.
    pub(super) fn chosen(&self) -> &str {
        &self.fields[CHOSEN]
    }

    /// The same with the numbers of several rounds.
    pub(super) fn with(&self, numbers: Option<Numbers>) -> Self {
        let mut row = Self { fields: self.fields.clone(), numbers };
        if let Some(Numbers { median_ms, gflops, .. }) = numbers {
            // What the timer says about the peak stays true of the new number.
            let percent = row.fields[GFLOPS + 1].parse::<f64>();
            if let (Ok(percent), Some(old)) = (percent, self.numbers) {
                row.fields[GFLOPS + 1] = format!("{:.1}", percent * gflops / old.gflops);
            }
            row.fields[MEDIAN_MS] = format!("{median_ms:.4}");
            row.fields[GFLOPS] = format!("{gflops:.2}");
        }
        row
    }

    /// The line, and further fields.
    pub(super) fn to_csv(&self, first: &str, last: &str) -> String {
        let fields = self.fields.iter().map(String::as_str);
        let quoted: Vec<String> =
            [first].into_iter().chain(fields).chain([last]).map(quote).collect();
        quoted.join(",")
    }
}

impl Numbers {
    /// Whether the result is that of the reference. NaN is not.
    pub(super) fn is_right(self) -> bool {
        self.error <= WRONG
    }
}

/// The fields of a line of CSV; those in double quotes may hold commas, and quotes twice.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always one");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(character),
        }
    }
    if quoted { Err(format!("a quoted field does not end: {line}")) } else { Ok(fields) }
}

fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, Row, split};

    const ROW: &str = "conv1,forward,auto,direct,2,1.5000,100.00,50.0,1.25e-7,64";

    #[test]
    fn rows_with_and_without_numbers() {
        let row = Row::parse(ROW).expect("a good row");
        let numbers = Numbers { median_ms: 1.5, gflops: 100.0, error: 1.25e-7 };
        assert_eq!((row.chosen(), row.numbers), ("direct", Some(numbers)));
        let row = Row::parse("a,forward,winograd,\"none: has 5x5, needs \"\"3x3\"\"\",2,,,,,\n");
        let row = row.expect("a good row");
        assert_eq!((row.chosen(), row.numbers), ("none: has 5x5, needs \"3x3\"", None));
        assert!(row.to_csv("ours", "").starts_with("ours,a,forward,winograd,\"none: has 5x5, n"));
    }

    #[test]
    fn bad_rows_are_told() {
        let message = |line: &str| Row::parse(line).expect_err("a bad row");
        assert!(message("a,b").contains("has 2 fields, expected 10"));
        assert!(message(&ROW.replace("1.5000", "fast")).contains("median_ms is \"fast\""));
        assert!(message(&ROW.replace("1.5000", "0")).contains("expected more than zero"));
        assert!(message(&ROW.replace("1.5000", "NaN")).contains("expected more than zero"));
        assert!(message(&ROW.replace("conv1", "\"conv1")).contains("does not end"));
    }

    #[test]
    fn numbers_of_several_rounds() {
        let row = Row::parse(ROW).expect("a good row");
        let slower = Numbers { median_ms: 3.0, gflops: 50.0, error: 1.25e-7 };
        let line = row.with(Some(slower)).to_csv("ours", "1.20");
        assert_eq!(line, "ours,conv1,forward,auto,direct,2,3.0000,50.00,25.0,1.25e-7,64,1.20");
    }

    #[test]
    fn wrong_results() {
        let numbers = |error| Numbers { median_ms: 1.0, gflops: 1.0, error };
        assert!(numbers(1e-6).is_right());
        assert!(!numbers(1e-3).is_right());
        assert!(!numbers(f64::NAN).is_right());
    }

    #[test]
    fn fields() {
        assert_eq!(split("a,,\"b,c\"\r\n"), Ok(vec!["a".into(), String::new(), "b,c".into()]));
        assert_eq!(split(""), Ok(vec![String::new()]));
    }
}
