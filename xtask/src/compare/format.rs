//! The columns that the timers write, ours and the peers' alike.

/// One kind of table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The names.
    pub(super) columns: &'static [&'static str],
    /// How many of the first ones say what was timed.
    pub(super) key: usize,
    /// What ran, or why nothing did.
    pub(super) chosen: usize,
    /// The milliseconds of one call.
    pub(super) median_ms: usize,
    /// 1e9 operations a second; the percentage of the peak follows it.
    pub(super) gflops: usize,
    /// The relative error.
    pub(super) error: usize,
    /// Images a second, if they are told.
    pub(super) images: Option<usize>,
    /// Parameters of the network, which must be the same in all libraries.
    pub(super) parameters: Option<usize>,
}

impl Format {
    /// The percentage of the FMA peak.
    pub(super) const fn percent(&self) -> usize {
        self.gflops + 1
    }

    /// The first line of a file of comparisons.
    pub(super) fn header(&self) -> String {
        format!("library,{},ratio", self.columns.join(","))
    }
}

/// Of the layer timers.
pub(super) static LAYERS: Format = Format {
    columns: &[
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
    ],
    key: 1,
    chosen: 3,
    median_ms: 5,
    gflops: 6,
    error: 8,
    images: None,
    parameters: None,
};

/// Of the model timers.
pub(super) static MODELS: Format = Format {
    columns: &[
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
    ],
    key: 3,
    chosen: 4,
    median_ms: 7,
    gflops: 9,
    error: 11,
    images: Some(8),
    parameters: Some(6),
};

#[cfg(test)]
mod tests {
    use super::{Format, LAYERS, MODELS};

    #[test]
    fn columns_are_where_they_are_said_to_be() {
        for format in [&LAYERS, &MODELS] {
            let Format { columns, chosen, median_ms, gflops, error, .. } = format;
            let names = [*chosen, *median_ms, *gflops, format.percent(), *error];
            let names = names.map(|at| columns[at]);
            let expected = ["chosen", "median_ms", "gflops", "percent_of_peak", "rel_rms_error"];
            assert_eq!(names, expected);
        }
        let [images, parameters] = [MODELS.images, MODELS.parameters];
        assert_eq!(images.map(|at| MODELS.columns[at]), Some("images_per_s"));
        assert_eq!(parameters.map(|at| MODELS.columns[at]), Some("parameters"));
    }
}
