//! Curves as SVG.

use std::fmt::Write;

use crate::escape::escape;

/// The size of a chart in its own units: about pixels on a phone.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
/// The plot within: left, top, right, bottom.
const PLOT: [f64; 4] = [46.0, 26.0, 390.0, 216.0];
/// Colours that can be told apart on white and on black, and by most who see few colours.
const COLORS: [&str; 4] = ["#3b82f6", "#f97316", "#10b981", "#a855f7"];

/// How the values of an axis are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Axis {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart. Values of 0 and below are left out.
    Log,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Whether it stays in the background: many points that scatter.
    pub faint: bool,
}

/// Curves over one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What runs from left to right.
    pub x_label: String,
    /// The layout of the vertical axis.
    pub y: Axis,
    /// Whether the vertical axis begins at 0.
    pub from_zero: bool,
    /// The curves; no more than four have a colour of their own.
    pub series: Vec<Series>,
}

impl Chart {
    /// The chart as a file of its own, in the colours that the viewer prefers.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let style = "<style>text{font:11px sans-serif;fill:currentColor}svg{color:#222;background:\
            #fff}@media(prefers-color-scheme:dark){svg{color:#ddd;background:#111}}</style>";
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">{style}{}\
             </svg>\n",
            self.body()
        )
    }

    /// The chart as a part of a page, which decides on the font and the colour of the text.
    #[must_use]
    pub fn to_inline_svg(&self) -> String {
        let title = escape(&self.title);
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{}</svg>",
            self.body()
        )
    }

    fn body(&self) -> String {
        let mut svg = String::new();
        let shown = |y: f64| self.y == Axis::Linear || y > 0.0;
        let finite = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && shown(y);
        let series: Vec<(&Series, Vec<(f64, f64)>)> = self
            .series
            .iter()
            .map(|series| (series, series.points.iter().copied().filter(finite).collect()))
            .collect();
        let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
        let [left, top, right, bottom] = PLOT;
        let x_scale = Span::of(points().map(|(x, _)| x), Axis::Linear, false);
        let y_scale = Span::of(points().map(|(_, y)| y), self.y, self.from_zero);
        let to_x = |x: f64| left + x_scale.part(x) * (right - left);
        let to_y = |y: f64| bottom - y_scale.part(y) * (bottom - top);

        for tick in y_scale.ticks() {
            let (y, label) = (to_y(tick), number(tick));
            let _ = write!(
                svg,
                "<path d=\"M{left} {y:.1}H{right}\" stroke=\"currentColor\" opacity=\".15\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 5.0,
                y + 4.0
            );
        }
        for tick in x_scale.ticks() {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                to_x(tick),
                bottom + 15.0,
                number(tick)
            );
        }
        let _ = write!(
            svg,
            "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"currentColor\" \
             opacity=\".5\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            bottom + 30.0,
            escape(&self.x_label)
        );
        // Those in the background first.
        let order = |faint: bool| {
            series.iter().enumerate().filter(move |(_, (series, _))| series.faint == faint)
        };
        for (i, (series, points)) in order(true).chain(order(false)) {
            let places: Vec<_> = points.iter().map(|&(x, y)| (to_x(x), to_y(y))).collect();
            curve(&mut svg, &places, COLORS[i % COLORS.len()], series.faint);
        }
        self.legend(&mut svg);
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut x = PLOT[0];
        let _ = write!(svg, "<text x=\"{x}\" y=\"14\" font-weight=\"bold\">");
        let _ = write!(svg, "{}</text>", escape(&self.title));
        x += 7.0 * self.title.chars().count() as f64 + 14.0;
        if self.series.len() < 2 {
            return;
        }
        for (i, series) in self.series.iter().enumerate() {
            let color = COLORS[i % COLORS.len()];
            let _ = write!(
                svg,
                "<path d=\"M{x} 10h12\" stroke=\"{color}\" stroke-width=\"3\"/>\
                 <text x=\"{}\" y=\"14\">{}</text>",
                x + 16.0,
                escape(&series.name)
            );
            x += 6.2 * series.name.chars().count() as f64 + 30.0;
        }
    }
}

/// One curve through places of the chart; a dot if there is only one.
fn curve(svg: &mut String, places: &[(f64, f64)], color: &str, faint: bool) {
    if let [(x, y)] = places {
        let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>");
        return;
    }
    let mut path = String::new();
    for (i, (x, y)) in places.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    let style = if faint { "stroke-width=\"1\" opacity=\".4\"" } else { "stroke-width=\"2\"" };
    let _ = write!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-linejoin=\"round\" {style}/>"
    );
}

/// The values of an axis.
struct Span {
    low: f64,
    high: f64,
    axis: Axis,
}

impl Span {
    fn of(values: impl Iterator<Item = f64>, axis: Axis, from_zero: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 2.0);
        }
        if from_zero && axis == Axis::Linear {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if low == high {
            // One value: in the middle, unless the axis begins with it.
            (low, high) = match axis {
                Axis::Log => (low / 2.0, high * 2.0),
                Axis::Linear if from_zero => (low, low + 1.0),
                Axis::Linear => (low - 0.5, low + 0.5),
            };
        }
        Self { low, high, axis }
    }

    /// Where a value lies, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        match self.axis {
            Axis::Linear => (value - self.low) / (self.high - self.low),
            Axis::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// Round values within the span, about five.
    fn ticks(&self) -> Vec<f64> {
        match self.axis {
            Axis::Linear => {
                let rough = (self.high - self.low) / 5.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
                let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
                let first = (self.low / step - 1e-9).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last).map(|i| i as f64 * step).collect()
            }
            Axis::Log => {
                let decades = (self.high / self.low).log10();
                let factors: &[f64] = match decades {
                    d if d > 3.0 => &[1.0],
                    d if d > 1.0 => &[1.0, 3.0],
                    _ => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                };
                let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let every = (decades / 6.0).ceil().max(1.0) as i32;
                powers
                    .filter(|power| power % every == 0)
                    .flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)))
                    .filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick))
                    .collect()
            }
        }
    }
}

/// A number as short as it can be read.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e4 {
        let thousands = format!("{:.1}", value / 1000.0);
        format!("{}k", thousands.trim_end_matches(".0"))
    } else if size != 0.0 && size < 1e-3 {
        let text = format!("{value:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
    } else {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let linear = |low, high| Span { low, high, axis: Axis::Linear }.ticks();
        assert_eq!(linear(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear(0.0, 7200.0), [0.0, 2000.0, 4000.0, 6000.0]);
        let log = Span { low: 0.005, high: 2.4, axis: Axis::Log }.ticks().into_iter().map(number);
        assert_eq!(log.collect::<Vec<_>>(), ["0.01", "0.03", "0.1", "0.3", "1"]);
    }

    #[test]
    fn one_value_stands_in_the_middle() {
        for (axis, from_zero, part) in
            [(Axis::Linear, false, 0.5), (Axis::Linear, true, 1.0), (Axis::Log, false, 0.5)]
        {
            let span = Span::of([3.0].into_iter(), axis, from_zero);
            assert!((span.part(3.0) - part).abs() < 1e-12, "{axis:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let short = [0.0, 12.0, 0.05, 12_000.0, 7500.0, 3.0 * 2e-4, -0.25].map(number);
        assert_eq!(short, ["0", "12", "0.05", "12k", "7500", "6e-4", "-0.25"]);
    }
}
