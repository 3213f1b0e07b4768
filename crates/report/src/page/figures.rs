//! The curves and pictures of a page.

use super::Page;
use crate::chart::{Axis, Chart, Series};
use crate::escape::escape;
use crate::picture::{Picture, grid};
use crate::{ChannelPictures, LayerChannels};

/// Images per row where the images that excite a channel stand in a square.
const SQUARE: usize = 3;

impl Page {
    /// The curves of the training: loss, accuracy, learning rate, time.
    #[must_use]
    pub fn charts(&self) -> Vec<Chart> {
        let epochs = |y: &str| self.epochs.points("epoch", y);
        let steps = |y: &str| self.steps.points("epoch", y);
        let series = |name: &str, points, faint| Series { name: name.to_owned(), points, faint };
        let chart = |title: &str, y, from_zero, series: Vec<Series>| Chart {
            title: title.to_owned(),
            x_label: "epoch".to_owned(),
            y,
            from_zero,
            series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
        };
        let rate = match steps("learning_rate") {
            rate if rate.is_empty() => epochs("learning_rate"),
            rate => rate,
        };
        let charts = [
            chart(
                "Loss",
                Axis::Log,
                false,
                vec![
                    series("training", epochs("train_loss"), false),
                    series("test", epochs("test_loss"), false),
                    series("steps", steps("loss"), true),
                ],
            ),
            chart(
                "Accuracy",
                Axis::Linear,
                false,
                vec![
                    series("training", epochs("train_accuracy"), false),
                    series("test", epochs("test_accuracy"), false),
                ],
            ),
            chart("Learning rate", Axis::Linear, true, vec![series("rate", rate, false)]),
            chart("Seconds", Axis::Linear, true, vec![series("seconds", epochs("seconds"), false)]),
        ];
        charts.into_iter().filter(|chart| !chart.series.is_empty()).collect()
    }

    pub(super) fn curves(&self) -> String {
        let figures: Vec<String> = self
            .charts()
            .iter()
            .map(|chart| format!("<figure>{}</figure>\n", chart.to_inline_svg()))
            .collect();
        if figures.is_empty() {
            return String::new();
        }
        format!("<div class=\"charts\">\n{}</div>\n", figures.concat())
    }

    pub(super) fn filters_figure(&self) -> String {
        let Some([before, after]) = &self.filters else { return String::new() };
        format!(
            "<p>Before training on the left, after it on the right; a filter has the same place on \
             both sides. Black is its smallest weight, white its largest.</p>\n\
             <div class=\"sides\">{}{}</div>\n",
            img(before, "filters before training", 6),
            img(after, "filters after training", 6)
        )
    }

    pub(super) fn maps(&self) -> String {
        if self.stages.is_empty() {
            return String::new();
        }
        let inputs: String = self.inputs.iter().map(|input| img(input, "the image", 1)).collect();
        let mut html = format!(
            "<p>What each stage makes of these images. The brighter, the more excited; channels \
             that are hardly excited stay dark.</p>\n<div class=\"maps\">{inputs}</div>\n"
        );
        for stage in &self.stages {
            let Some(first) = stage.first() else { continue };
            let [c, h, w] = first.shape;
            let shape = if h * w == 1 { c.to_string() } else { format!("{c} × {h} × {w}") };
            let name = escape(&first.name);
            let maps: String = stage
                .iter()
                .map(|maps| img(&maps.picture, &format!("maps of {name}"), 2))
                .collect();
            html += &format!(
                "<h3>{name} <span class=\"soft\">{shape}</span></h3>\n\
                 <div class=\"maps\">{maps}</div>\n"
            );
        }
        html
    }

    pub(super) fn channels(&self) -> String {
        if self.layers.is_empty() {
            return String::new();
        }
        let layers: String = self.layers.iter().map(|layer| self.layer(layer)).collect();
        format!(
            "<p>On the left of each card what excites the channel most, found by gradient ascent \
             from noise: as much of the input as one unit sees. Below it the channel's activation for \
             the noise, for what the ascent found, and for the best image. On the right the test images that \
             excite it most, with a frame around what the unit sees of them.</p>\n{layers}"
        )
    }

    fn layer(&self, layer: &LayerChannels) -> String {
        let field = layer.field.area;
        let sees = if layer.field.whole {
            "a unit sees the whole image".to_owned()
        } else {
            format!("a unit sees {} × {} pixels", field.height, field.width)
        };
        let cards: String =
            layer.channels.iter().map(|channel| card(channel, &layer.name)).collect();
        let shown = match layer.channels.len() {
            all if all == layer.of => format!("all {all} channels"),
            some => format!("{some} of {} channels", layer.of),
        };
        format!(
            "<h3>{} <span class=\"soft\">{}; {shown}; {sees}</span></h3>\n\
             <div class=\"cards\">\n{cards}</div>\n",
            escape(&layer.name),
            escape(&layer.kind),
        )
    }

    pub(super) fn mistakes_cards(&self) -> String {
        if self.mistakes.is_empty() {
            return String::new();
        }
        let cards: String = self
            .mistakes
            .iter()
            .map(|(verdict, picture)| {
                let (label, predicted) = (self.class(verdict.label), self.class(verdict.predicted));
                let text = format!("{label} taken for {predicted}");
                let percent = 100.0 * verdict.probability;
                format!(
                    "<figure>{}<figcaption>{text}, {percent:.1}%<br>image {}</figcaption></figure>\n",
                    img(picture, &text, 1),
                    verdict.image
                )
            })
            .collect();
        format!(
            "<p>The test images whose own class got the smallest probability, with what the network \
             took them for and how sure it was.</p>\n<div class=\"cards small\">\n{cards}</div>\n"
        )
    }
}

/// One channel: the input that it would most like to see, beside the images that excite it most.
fn card(channel: &ChannelPictures, layer: &str) -> String {
    let ChannelPictures { channel: number, ideal, noise_activation, ideal_activation, images } =
        channel;
    let pictures: Vec<Picture> = images.iter().map(|(_, picture)| picture.clone()).collect();
    let layer = escape(layer);
    let best = match images.first() {
        Some((excitation, _)) => format!(", best image {:.2}", excitation.activation),
        None => String::new(),
    };
    format!(
        "<figure><div class=\"pair\">{}{}</div><figcaption>{number}: noise {noise_activation:.2}, \
         ascent {ideal_activation:.2}{best}</figcaption></figure>\n",
        img(ideal, &format!("what excites channel {number} of {layer}"), 1),
        img(
            &grid(&pictures, SQUARE, 1, [64, 72, 96]),
            &format!("images that excite channel {number} of {layer}"),
            1
        ),
    )
}

/// A picture within the page, shown at so many times its size where there is room. `alt` is
/// ready for HTML.
fn img(picture: &Picture, alt: &str, factor: usize) -> String {
    let (width, height) = (picture.width() * factor, picture.height() * factor);
    format!(
        "<img alt=\"{alt}\" width=\"{width}\" height=\"{height}\" src=\"{}\">",
        picture.data_uri()
    )
}
