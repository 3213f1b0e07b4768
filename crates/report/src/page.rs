//! One page about one run.

mod figures;
mod tables;

use std::time::Duration;

use net::LayerSummary;
use tensor4::Shape4;

use crate::escape::escape;
use crate::{Confusion, FeatureMaps, LayerChannels, Metrics, Picture, ReportError, Verdict};

/// What a page weighs at most.
pub const PAGE_LIMIT: usize = 5_000_000;

/// Everything that a page about a run shows. What is empty or `None` is left out.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// The settings of the run, name and value.
    pub settings: Vec<(String, String)>,
    /// The names of the classes; their numbers are used where there is none.
    pub classes: Vec<String>,
    /// A line per epoch: `epoch`, `train_loss`, `train_accuracy`, `test_loss`, `test_accuracy`,
    /// `learning_rate`, `seconds`.
    pub epochs: Metrics,
    /// A line per some steps: `step`, `epoch` (with its fraction), `loss`, `accuracy`,
    /// `learning_rate`.
    pub steps: Metrics,
    /// The filters of the first layer before and after training.
    pub filters: Option<[Picture; 2]>,
    /// The images whose feature maps are shown.
    pub inputs: Vec<Picture>,
    /// The feature maps of each stage, one for each of the images.
    pub stages: Vec<Vec<FeatureMaps>>,
    /// What the channels of each layer look for.
    pub layers: Vec<LayerChannels>,
    /// How often each class was taken for each.
    pub confusion: Option<Confusion>,
    /// The worst mistakes.
    pub mistakes: Vec<(Verdict, Picture)>,
    /// The shape of one image.
    pub input: Option<Shape4>,
    /// The table of the network.
    pub summary: Vec<LayerSummary>,
    /// The time of each layer's forward pass.
    pub times: Option<Times>,
}

/// How long the layers take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The time of each layer for all images.
    pub layers: Vec<Duration>,
    /// How many images there were.
    pub images: usize,
    /// On how many threads.
    pub threads: usize,
}

impl Page {
    /// The page as one file of HTML that needs no other: pictures and style are within it, and
    /// there is no script.
    ///
    /// # Errors
    ///
    /// [`ReportError::TooLarge`] if it would have more than [`PAGE_LIMIT`] bytes.
    pub fn to_html(&self) -> Result<String, ReportError> {
        let sections = [
            ("curves", "Training", self.curves()),
            ("filters", "Filters of the first layer", self.filters_figure()),
            ("maps", "Feature maps", self.maps()),
            ("channels", "What the channels look for", self.channels()),
            ("confusion", "What is taken for what", self.confusion_table()),
            ("mistakes", "Worst mistakes", self.mistakes_cards()),
            ("network", "The network", self.network_table()),
            ("settings", "Settings", self.settings_table()),
        ];
        let shown = || sections.iter().filter(|(_, _, html)| !html.is_empty());
        let links: String =
            shown().map(|(id, title, _)| format!("<a href=\"#{id}\">{title}</a>\n")).collect();
        let body: String = shown()
            .map(|(id, title, html)| {
                format!("<section id=\"{id}\"><h2>{title}</h2>\n{html}</section>\n")
            })
            .collect();
        let (title, subtitle) = (escape(&self.title), escape(&self.subtitle));
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style></head>\n<body>\n\
             <h1>{title}</h1>\n<p>{subtitle}</p>\n{}<nav>{links}</nav>\n{body}</body></html>\n",
            include_str!("page/style.css"),
            self.facts(),
        );
        if html.len() > PAGE_LIMIT {
            return Err(ReportError::TooLarge { bytes: html.len(), limit: PAGE_LIMIT });
        }
        Ok(html)
    }

    /// The name of a class, ready for HTML.
    fn class(&self, class: usize) -> String {
        self.classes.get(class).map_or_else(|| class.to_string(), |name| escape(name))
    }

    /// The numbers that one looks for first.
    fn facts(&self) -> String {
        let mut facts: Vec<(&str, String)> = Vec::new();
        if let Some(confusion) = self.confusion.as_ref().filter(|c| c.images() > 0) {
            let (correct, images) = (confusion.correct(), confusion.images());
            facts.push(("test accuracy", format!("{:.4}", correct as f64 / images as f64)));
            facts.push(("mistakes", format!("{} of {images}", images - correct)));
        }
        let last = |name: &str| self.epochs.column(name).and_then(<[f64]>::last).copied();
        if let Some(epochs) = last("epoch") {
            facts.push(("epochs", epochs.to_string()));
        }
        if let Some(seconds) = last("seconds") {
            facts.push(("training", format!("{seconds:.0} s")));
        }
        if !self.summary.is_empty() {
            let parameters: usize = self.summary.iter().map(|layer| layer.parameters).sum();
            facts.push(("parameters", crate::summary::grouped(parameters as u64)));
        }
        if facts.is_empty() {
            return String::new();
        }
        let cells: String = facts
            .iter()
            .map(|(name, value)| {
                format!("<div><b>{value}</b><span class=\"soft\">{name}</span></div>\n")
            })
            .collect();
        format!("<div class=\"facts\">\n{cells}</div>\n")
    }
}
