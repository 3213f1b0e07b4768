//! Tables of numbers that a training leaves.

use crate::ReportError;

/// Named columns of numbers, all of one length, as a CSV file with a header holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Metrics {
    /// Reads comma-separated numbers under a line of names. An empty field and `NaN` are no
    /// number; a last line that is not ended is left out, for it may still be written.
    ///
    /// # Errors
    ///
    /// [`ReportError::Metrics`] names the line that does not fit.
    pub fn parse(csv: &str) -> Result<Self, ReportError> {
        let mut lines = csv.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let header = lines.next().unwrap_or_default().trim();
        let names: Vec<String> = header.split(',').map(|name| name.trim().to_owned()).collect();
        let mut columns = vec![Vec::new(); names.len()];
        for (i, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = |message: String| ReportError::Metrics { line: i + 2, message };
            let fields: Vec<&str> = line.trim().split(',').collect();
            if fields.len() != names.len() {
                let (fields, names) = (fields.len(), names.len());
                return Err(bad(format!("{fields} fields under {names} names")));
            }
            for (field, column) in fields.iter().zip(&mut columns) {
                column.push(match field.trim() {
                    "" => f64::NAN,
                    field => field.parse().map_err(|_| bad(format!("{field} is no number")))?,
                });
            }
        }
        Ok(Self { names, columns })
    }

    /// The column of a name, if there is one.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(&self.columns[at])
    }

    /// Points of one column over another, where both are numbers.
    #[must_use]
    pub fn points(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let (Some(x), Some(y)) = (self.column(x), self.column(y)) else { return Vec::new() };
        let points = x.iter().copied().zip(y.iter().copied());
        points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }
}
