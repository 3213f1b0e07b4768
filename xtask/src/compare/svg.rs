//! Pictures of a comparison, as SVG: bars, dots around 1, curves.

use std::fmt::Write;

/// The width of a picture in its own units, about pixels.
const WIDTH: f64 = 760.0;
/// Where names end and the plot begins.
const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 60.0;
/// Title and legend.
const TOP: f64 = 52.0;
/// Numbers of the axis, and what they count.
const BOTTOM: f64 = 44.0;
/// Colours that can be told apart on white and on black, and by most who see few colours.
const COLORS: [&str; 5] = ["#3b82f6", "#f97316", "#10b981", "#a855f7", "#ca8a04"];

/// A name and a value for each label, or for each place.
pub(super) type Series<V> = (String, Vec<V>);

/// Horizontal bars, from 0 on: for each label one of each series. A line stands at `mark`.
pub(super) fn bars(
    title: &str,
    x_label: &str,
    labels: &[String],
    series: &[Series<Option<f64>>],
    mark: f64,
) -> String {
    let bar = 7.0;
    let row = bar * series.len() as f64 + 7.0;
    let bottom = TOP + row * labels.len() as f64;
    let values = series.iter().flat_map(|(_, values)| values.iter().flatten().copied());
    let high = values.fold(mark, f64::max) * 1.02;
    let to_x = |value: f64| LEFT + value / high * (RIGHT - LEFT);
    let mut svg = start(title, bottom + BOTTOM);
    legend(&mut svg, series.iter().map(|(name, _)| name.as_str()));
    axis(&mut svg, &linear_ticks(high), to_x, bottom, x_label);
    upright(&mut svg, to_x(mark), bottom);
    for (i, label) in labels.iter().enumerate() {
        let top = TOP + row * i as f64 + 3.0;
        text(&mut svg, LEFT - 6.0, top + row / 2.0 + 1.0, "end", label);
        for (s, (_, values)) in series.iter().enumerate() {
            let Some(value) = values[i] else { continue };
            let (y, width) = (top + bar * s as f64, to_x(value) - LEFT);
            let _ = write!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
                 fill=\"{}\"/>",
                bar - 1.0,
                COLORS[s % COLORS.len()]
            );
        }
    }
    svg + "</svg>\n"
}

/// Ratios as dots on a logarithmic axis, for each label one of each series. A line stands at 1.
pub(super) fn dots(
    title: &str,
    x_label: &str,
    labels: &[String],
    series: &[Series<Option<f64>>],
) -> String {
    let row = 17.0;
    let bottom = TOP + row * labels.len() as f64;
    let values = || series.iter().flat_map(|(_, values)| values.iter().flatten().copied());
    let (low, high) = (values().fold(0.8, f64::min) / 1.05, values().fold(1.25, f64::max) * 1.05);
    let to_x = |value: f64| LEFT + (value / low).ln() / (high / low).ln() * (RIGHT - LEFT);
    let mut svg = start(title, bottom + BOTTOM);
    legend(&mut svg, series.iter().map(|(name, _)| name.as_str()));
    axis(&mut svg, &log_ticks(low, high), to_x, bottom, x_label);
    upright(&mut svg, to_x(1.0), bottom);
    for (i, label) in labels.iter().enumerate() {
        let y = TOP + row * (i as f64 + 0.5);
        text(&mut svg, LEFT - 6.0, y + 4.0, "end", label);
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"currentColor\" opacity=\".1\"/>"
        );
        for (s, (_, values)) in series.iter().enumerate() {
            let Some(value) = values[i] else { continue };
            let _ = write!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{}\" opacity=\".85\"/>",
                to_x(value),
                COLORS[s % COLORS.len()]
            );
        }
    }
    svg + "</svg>\n"
}

/// One set of axes of [`curves`]: what grows, and the points of each series.
pub(super) struct Panel {
    pub(super) x_label: String,
    pub(super) series: Vec<Series<(f64, f64)>>,
}

/// Panels side by side, each value of x twice as far as the last, y from 0 on.
pub(super) fn curves(title: &str, panels: &[Panel]) -> String {
    let (bottom, gap) = (TOP + 220.0, 46.0);
    let mut svg = start(title, bottom + BOTTOM);
    let names = panels.first().map_or(&[][..], |panel| &panel.series);
    legend(&mut svg, names.iter().map(|(name, _)| name.as_str()));
    let share = WIDTH / panels.len().max(1) as f64;
    for (p, panel) in panels.iter().enumerate() {
        let (left, right) = (share * p as f64 + gap, share * (p + 1) as f64 - 16.0);
        let points = || panel.series.iter().flat_map(|(_, points)| points.iter().copied());
        let high = points().map(|(_, y)| y).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
        let (first, last) = points()
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), (x, _)| {
                (low.min(x), high.max(x))
            });
        let steps = (last / first).log2().max(1.0);
        let to_x = |x: f64| left + (x / first).log2() / steps * (right - left);
        let to_y = |y: f64| bottom - y / high * (bottom - TOP);
        for tick in linear_ticks(high) {
            let y = to_y(tick);
            let _ = write!(
                svg,
                "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"currentColor\" \
                 opacity=\".15\"/>"
            );
            text(&mut svg, left - 5.0, y + 4.0, "end", &number(tick));
        }
        let mut places: Vec<f64> = points().map(|(x, _)| x).collect();
        places.sort_unstable_by(f64::total_cmp);
        places.dedup();
        for x in places {
            text(&mut svg, to_x(x), bottom + 15.0, "middle", &number(x));
        }
        text(&mut svg, f64::midpoint(left, right), bottom + 32.0, "middle", &panel.x_label);
        for (s, (_, points)) in panel.series.iter().enumerate() {
            let mut path = String::new();
            for (i, &(x, y)) in points.iter().enumerate() {
                let step = if i == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{step}{:.1} {:.1}", to_x(x), to_y(y));
            }
            let color = COLORS[s % COLORS.len()];
            let _ = write!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" \
                 stroke-linejoin=\"round\"/>"
            );
        }
    }
    svg + "</svg>\n"
}

/// The file up to the title, in the colours that the viewer prefers.
fn start(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"{title}\"><style>text{{font:11px sans-serif;fill:currentColor}}svg{{color:\
         #222;background:#fff}}@media(prefers-color-scheme:dark){{svg{{color:#ddd;background:#111}}\
         }}</style><text x=\"10\" y=\"16\" font-weight=\"bold\">{title}</text>"
    )
}

fn legend<'a>(svg: &mut String, names: impl Iterator<Item = &'a str>) {
    let mut x = 10.0;
    for (i, name) in names.enumerate() {
        let color = COLORS[i % COLORS.len()];
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"28\" width=\"11\" height=\"11\" fill=\"{color}\"/>"
        );
        text(svg, x + 16.0, 38.0, "start", name);
        x += 6.4 * name.chars().count() as f64 + 36.0;
    }
}

fn axis(svg: &mut String, ticks: &[f64], to_x: impl Fn(f64) -> f64, bottom: f64, label: &str) {
    for &tick in ticks {
        let x = to_x(tick);
        let _ = write!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{bottom:.1}\" stroke=\"currentColor\" opacity=\".15\"/>"
        );
        text(svg, x, bottom + 15.0, "middle", &number(tick));
    }
    text(svg, f64::midpoint(LEFT, RIGHT), bottom + 32.0, "middle", label);
}

fn upright(svg: &mut String, x: f64, bottom: f64) {
    let _ = write!(
        svg,
        "<path d=\"M{x:.1} {TOP}V{bottom:.1}\" stroke=\"currentColor\" stroke-width=\"1.5\" \
         opacity=\".6\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = escape(content);
    let _ =
        write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Round values from 0 up to `high`, about six.
fn linear_ticks(high: f64) -> Vec<f64> {
    let power = 10_f64.powf((high / 6.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= high / 6.0).unwrap_or(high);
    (0..=(high / step) as usize).map(|i| i as f64 * step).collect()
}

/// Round values between the ends of a logarithmic axis.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let wide = high / low > 30.0;
    let factors: &[f64] = if wide { &[1.0, 3.0] } else { &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0] };
    (-4..=6)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

/// As short as it can be read.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Panel, bars, curves, dots, linear_ticks, log_ticks, number};

    #[test]
    fn ticks_are_round() {
        assert_eq!(linear_ticks(110.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let log = |low, high| log_ticks(low, high).into_iter().map(number).collect::<Vec<_>>();
        assert_eq!(log(0.6, 3.5), ["0.7", "1", "1.5", "2", "3"]);
        assert_eq!(log(0.05, 4.0), ["0.1", "0.3", "1", "3"]);
    }

    #[test]
    fn everything_is_drawn() {
        let labels = ["a<b".to_owned(), "c".to_owned()];
        let series = [
            ("one".to_owned(), vec![Some(50.0), None]),
            ("two".to_owned(), vec![Some(1.0), Some(2.0)]),
        ];
        let svg = bars("Title", "percent", &labels, &series, 100.0);
        // Three bars and two squares of the legend.
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(svg.contains("a&lt;b") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        let svg = dots("Title", "ratio", &labels, &series);
        assert_eq!(svg.matches("<circle").count(), 3);
        let panel = |x_label: &str| Panel {
            x_label: x_label.to_owned(),
            series: vec![("one".to_owned(), vec![(1.0, 3.0), (2.0, 2.0), (8.0, 1.0)])],
        };
        let svg = curves("Title", &[panel("batch"), panel("channels")]);
        assert_eq!(svg.matches("stroke-linejoin").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
