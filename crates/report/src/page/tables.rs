//! The tables of a page.

use std::fmt::Write;
use std::time::Duration;

use super::{Page, Times};
use crate::Confusion;
use crate::escape::escape;
use crate::summary::{count, grouped, image};

/// A matrix of more classes than this would be a carpet; the pairs that are confused most are
/// listed instead.
const MATRIX_CLASSES: usize = 24;
/// How many pairs are listed.
const PAIRS: usize = 30;

impl Page {
    pub(super) fn confusion_table(&self) -> String {
        let Some(confusion) = &self.confusion else { return String::new() };
        let whole = if confusion.classes() <= MATRIX_CLASSES {
            self.matrix(confusion)
        } else {
            self.pairs(confusion)
        };
        whole + &self.scores(confusion)
    }

    fn matrix(&self, confusion: &Confusion) -> String {
        let classes = 0..confusion.classes();
        let mut html = String::from(
            "<p>A row for each class, a column for what its images were taken for.</p>\n\
             <div class=\"scroll\"><table class=\"confusion\"><thead><tr><th></th>",
        );
        for class in classes.clone() {
            let _ = write!(html, "<th>{}</th>", self.class(class));
        }
        html += "</tr></thead><tbody>\n";
        for label in classes.clone() {
            let _ = write!(html, "<tr><th>{}</th>", self.class(label));
            let all = confusion.score(label).images.max(1) as f64;
            for predicted in classes.clone() {
                let count = confusion.count(label, predicted);
                if count == 0 {
                    html += "<td></td>";
                    continue;
                }
                let part = count as f64 / all;
                // Mistakes are few: by their root they can be seen at all.
                let (kind, shade) = if label == predicted {
                    ("hit", 0.6 * part)
                } else {
                    ("miss", (4.0 * part).sqrt().clamp(0.1, 0.8))
                };
                let _ = write!(html, "<td class=\"{kind}\" style=\"--a:{shade:.2}\">{count}</td>");
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n"
    }

    fn pairs(&self, confusion: &Confusion) -> String {
        let classes = confusion.classes();
        let mut pairs: Vec<(usize, usize, usize)> = (0..classes)
            .flat_map(|label| (0..classes).map(move |predicted| (label, predicted)))
            .filter(|(label, predicted)| label != predicted)
            .map(|(label, predicted)| (confusion.count(label, predicted), label, predicted))
            .filter(|&(count, ..)| count > 0)
            .collect();
        pairs.sort_by_key(|&(count, label, predicted)| (usize::MAX - count, label, predicted));
        let rows: String = pairs
            .iter()
            .take(PAIRS)
            .map(|&(count, label, predicted)| {
                let (label, predicted) = (self.class(label), self.class(predicted));
                format!(
                    "<tr><td>{label}</td><td class=\"left\">{predicted}</td><td>{count}</td></tr>\n"
                )
            })
            .collect();
        format!(
            "<div class=\"scroll\"><table><thead><tr><th>class</th><th class=\"left\">taken for</th>\
             <th>images</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
        )
    }

    fn scores(&self, confusion: &Confusion) -> String {
        let part =
            |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.4}") };
        let rows: String = (0..confusion.classes())
            .map(|class| {
                let score = confusion.score(class);
                format!(
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    self.class(class),
                    score.images,
                    part(score.precision),
                    part(score.recall)
                )
            })
            .collect();
        format!(
            "<h3>Each class</h3>\n<p>Precision: of the images taken for the class, the part that is \
             of it. Recall: of the images of the class, the part that was taken for it.</p>\n\
             <div class=\"scroll\"><table><thead><tr><th>class</th><th>images</th>\
             <th>precision</th><th>recall</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
        )
    }

    pub(super) fn network_table(&self) -> String {
        if self.summary.is_empty() {
            return String::new();
        }
        let times = self.times.as_ref().filter(|times| times.layers.len() == self.summary.len());
        let micros =
            |seconds: f64, times: &Times| format!("{:.1}", seconds * 1e6 / times.images as f64);
        let mut rows = Vec::with_capacity(self.summary.len() + 1);
        if let Some(shape) = self.input {
            let none = String::new;
            rows.push([String::from("input"), none(), image(shape), none(), none(), none()]);
        }
        for (i, layer) in self.summary.iter().enumerate() {
            rows.push([
                escape(&layer.name),
                escape(&layer.kind),
                image(layer.output),
                count(layer.parameters as u64),
                count(layer.multiply_adds),
                times.map_or(String::new(), |t| micros(t.layers[i].as_secs_f64(), t)),
            ]);
        }
        let cells: String = rows
            .iter()
            .map(|[name, kind, output, parameters, multiply_adds, time]| {
                format!(
                    "<tr><td>{name}</td><td class=\"left\">{kind}</td><td class=\"left\">{output}</td>\
                     <td>{parameters}</td><td>{multiply_adds}</td><td>{time}</td></tr>\n"
                )
            })
            .collect();
        let parameters: usize = self.summary.iter().map(|layer| layer.parameters).sum();
        let multiply_adds: u64 = self.summary.iter().map(|layer| layer.multiply_adds).sum();
        let total = |times: &Times| times.layers.iter().map(Duration::as_secs_f64).sum();
        format!(
            "<div class=\"scroll\"><table><thead><tr><th>layer</th><th class=\"left\">kind</th>\
             <th class=\"left\">output</th><th>parameters</th><th>multiply-adds</th>\
             <th>{}</th></tr></thead><tbody>\n{cells}</tbody><tfoot><tr><td>total</td><td></td><td></td>\
             <td>{}</td><td>{}</td><td>{}</td></tr></tfoot></table></div>\n{}",
            if times.is_some() { "µs" } else { "" },
            grouped(parameters as u64),
            grouped(multiply_adds),
            times.map_or(String::new(), |times| micros(total(times), times)),
            times.map_or(String::new(), |times| format!(
                "<p>Outputs, multiply-adds and microseconds are those of one image; timed forward \
                 over batches of {}, threads: {}.</p>\n",
                times.images, times.threads
            )),
        )
    }

    pub(super) fn settings_table(&self) -> String {
        if self.settings.is_empty() {
            return String::new();
        }
        let rows: String = self
            .settings
            .iter()
            .map(|(name, value)| {
                format!("<tr><td>{}</td><td>{}</td></tr>\n", escape(name), escape(value))
            })
            .collect();
        format!("<table class=\"settings\"><tbody>\n{rows}</tbody></table>\n")
    }
}
