//! A row of a timer: ours or a peer's.

use super::format::Format;

/// Results further off than this are wrong, in every timer.
const WRONG: f64 = 1e-4;

/// One row, and its numbers if it has any.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    format: &'static Format,
    fields: Vec<String>,
    /// Nothing if the timer could not serve what it was asked for.
    pub(super) numbers: Option<Numbers>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Numbers {
    pub(super) median_ms: f64,
    pub(super) gflops: f64,
    pub(super) error: f64,
}

impl Row {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// It has other columns, or a number is none.
    pub(super) fn parse(line: &str, format: &'static Format) -> Result<Self, String> {
        let fields = split(line)?;
        let columns = format.columns;
        if fields.len() != columns.len() {
            let count = fields.len();
            return Err(format!("has {count} fields, expected {}: {line}", columns.len()));
        }
        let number = |at: usize| {
            fields[at].parse::<f64>().map_err(|_| {
                format!("{} is {:?}, expected a number: {line}", columns[at], fields[at])
            })
        };
        let numbers = if fields[format.median_ms].is_empty() {
            None
        } else {
            let (median_ms, gflops) = (number(format.median_ms)?, number(format.gflops)?);
            if !(median_ms > 0.0 && median_ms.is_finite()) {
                return Err(format!("median_ms is {median_ms}, expected more than zero: {line}"));
            }
            Some(Numbers { median_ms, gflops, error: number(format.error)? })
        };
        Ok(Self { format, fields, numbers })
    }

    /// What was timed.
    pub(super) fn key(&self) -> String {
        self.fields[..self.format.key].join(",")
    }

    /// What ran, or why nothing did.
    pub(super) fn chosen(&self) -> &str {
        &self.fields[self.format.chosen]
    }

    /// The threads that it could use.
    pub(super) fn threads(&self) -> &str {
        &self.fields[self.format.chosen + 1]
    }

    /// Images a second, where they are told.
    pub(super) fn images_per_second(&self) -> Option<f64> {
        self.fields[self.format.images?].parse().ok()
    }

    /// How many parameters the network has, if it is one.
    pub(super) fn parameters(&self) -> Option<&str> {
        Some(&self.fields[self.format.parameters?])
    }

    /// The same with the numbers of several rounds.
    pub(super) fn with(&self, numbers: Option<Numbers>) -> Self {
        let mut row = Self { fields: self.fields.clone(), numbers, format: self.format };
        if let (Some(Numbers { median_ms, gflops, .. }), Some(old)) = (numbers, self.numbers) {
            // What the timer says in other units stays true of the new number.
            let faster = old.median_ms / median_ms;
            let mut scale = |at: usize| {
                if let Ok(number) = row.fields[at].parse::<f64>() {
                    row.fields[at] = format!("{:.1}", number * faster);
                }
            };
            scale(self.format.percent());
            self.format.images.into_iter().for_each(&mut scale);
            row.fields[self.format.median_ms] = format!("{median_ms:.4}");
            row.fields[self.format.gflops] = format!("{gflops:.2}");
        }
        row
    }

    /// The line, and further fields.
    pub(super) fn to_csv(&self, first: &str, last: &str) -> String {
        let fields = self.fields.iter().map(String::as_str);
        join([first].into_iter().chain(fields).chain([last]))
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

/// A line of CSV; `split` gives the fields back.
pub(super) fn join<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    fields.into_iter().map(quote).collect::<Vec<_>>().join(",")
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
    use super::super::format::{LAYERS, MODELS};
    use super::{Numbers, Row, split};

    const ROW: &str = "conv1,forward,auto,direct,2,1.5000,100.00,50.0,1.25e-7,64";
    const MODEL: &str = "alexnet,infer,16,torch,eager,2,60965224,200.0000,80.0,110.00,,1.00e-06";

    #[test]
    fn rows_with_and_without_numbers() {
        let row = Row::parse(ROW, &LAYERS).expect("a good row");
        let numbers = Numbers { median_ms: 1.5, gflops: 100.0, error: 1.25e-7 };
        assert_eq!((row.chosen(), row.numbers), ("direct", Some(numbers)));
        assert_eq!(row.key(), "conv1");
        assert_eq!((row.parameters(), row.images_per_second()), (None, None));
        let line = "a,forward,winograd,\"none: has 5x5, needs \"\"3x3\"\"\",2,,,,,\n";
        let row = Row::parse(line, &LAYERS).expect("a good row");
        assert_eq!((row.chosen(), row.numbers), ("none: has 5x5, needs \"3x3\"", None));
        assert!(row.to_csv("ours", "").starts_with("ours,a,forward,winograd,\"none: has 5x5, n"));
    }

    #[test]
    fn rows_of_networks() {
        let row = Row::parse(MODEL, &MODELS).expect("a good row");
        assert_eq!((row.key().as_str(), row.chosen()), ("alexnet,infer,16", "eager"));
        assert_eq!((row.threads(), row.parameters()), ("2", Some("60965224")));
        let slower = Numbers { median_ms: 400.0, gflops: 55.0, error: 1e-6 };
        let row = row.with(Some(slower));
        assert_eq!(row.images_per_second(), Some(40.0));
    }

    #[test]
    fn bad_rows_are_told() {
        let message = |line: &str| Row::parse(line, &LAYERS).expect_err("a bad row");
        assert!(message("a,b").contains("has 2 fields, expected 10"));
        assert!(message(&ROW.replace("1.5000", "fast")).contains("median_ms is \"fast\""));
        assert!(message(&ROW.replace("1.5000", "0")).contains("expected more than zero"));
        assert!(message(&ROW.replace("1.5000", "NaN")).contains("expected more than zero"));
        assert!(message(&ROW.replace("conv1", "\"conv1")).contains("does not end"));
    }

    #[test]
    fn numbers_of_several_rounds() {
        let row = Row::parse(ROW, &LAYERS).expect("a good row");
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
