//! The layers that the timers measure, read from a CSV file.

use conv::Conv2d;
use im2col::{Padding, Window};

use crate::csv;

/// The columns, in the order of the file.
pub const COLUMNS: [&str; 17] = [
    "name",
    "n",
    "c",
    "h",
    "w",
    "oc",
    "kh",
    "kw",
    "stride_h",
    "stride_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
    "dil_h",
    "dil_w",
    "groups",
];

/// The layers of `benches/layers.csv`: those of the networks that people run.
pub const DEFAULT: &str = include_str!("../layers.csv");

/// A layer, the batch that it is measured with, and its name in the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedLayer {
    /// The name in the results.
    pub name: String,
    /// Images of the batch.
    pub n: usize,
    /// What is convolved.
    pub conv: Conv2d,
}

/// Reads a table of layers. Its first line names the columns, all of [`COLUMNS`], in any order;
/// empty lines and those that start with `#` are left out.
///
/// # Errors
///
/// A column is missing, named twice or unknown, a number is none, a name stands twice, or there
/// is no layer at all. The message says on which line.
pub fn parse(text: &str) -> Result<Vec<TimedLayer>, String> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (number, header) = lines.next().ok_or("the table of layers is empty")?;
    let order = order_of(header).map_err(|what| format!("line {number}: {what}"))?;
    let mut layers: Vec<TimedLayer> = Vec::new();
    for (number, line) in lines {
        let layer = parse_line(line, &order).map_err(|what| format!("line {number}: {what}"))?;
        if layers.iter().any(|other| other.name == layer.name) {
            return Err(format!("line {number}: a second layer is called {}", layer.name));
        }
        layers.push(layer);
    }
    if layers.is_empty() {
        return Err("the table of layers names columns, and holds no layer".to_owned());
    }
    Ok(layers)
}

/// Where each of [`COLUMNS`] stands.
fn order_of(header: &str) -> Result<[usize; COLUMNS.len()], String> {
    let fields = csv::split(header)?;
    if let Some(unknown) = fields.iter().find(|field| !COLUMNS.contains(&field.as_str())) {
        return Err(format!("there is no column {unknown:?}; they are {}", COLUMNS.join(",")));
    }
    let mut order = [0; COLUMNS.len()];
    for (place, column) in order.iter_mut().zip(COLUMNS) {
        let mut found = (0..fields.len()).filter(|&at| fields[at] == column);
        *place = found.next().ok_or_else(|| format!("the column {column} is missing"))?;
        if found.next().is_some() {
            return Err(format!("the column {column} stands twice"));
        }
    }
    Ok(order)
}

fn parse_line(line: &str, order: &[usize; COLUMNS.len()]) -> Result<TimedLayer, String> {
    let fields = csv::split(line)?;
    if fields.len() != COLUMNS.len() {
        return Err(format!("has {} fields, expected {}", fields.len(), COLUMNS.len()));
    }
    let name = fields[order[0]].clone();
    if name.is_empty() || name.contains([',', ' ']) {
        return Err(format!("the name {name:?} is empty, or holds a comma or a space"));
    }
    let mut numbers = [0; COLUMNS.len() - 1];
    for (at, number) in numbers.iter_mut().enumerate() {
        let field = &fields[order[at + 1]];
        *number = field.parse().map_err(|_| {
            format!("{name}: {} is {field:?}, expected a whole number", COLUMNS[at + 1])
        })?;
    }
    let [n, c, h, w, oc, kh, kw, stride_h, stride_w, rest @ ..] = numbers;
    let [top, left, bottom, right, dil_h, dil_w, groups] = rest;
    let window = Window::new(kh, kw)
        .strides(stride_h, stride_w)
        .dilations(dil_h, dil_w)
        .padding(Padding { top, left, bottom, right });
    Ok(TimedLayer { name, n, conv: Conv2d::new(c, h, w, oc, window).groups(groups) })
}

#[cfg(test)]
mod tests {
    use conv::{Conv2dPlan, Options};

    use super::{COLUMNS, DEFAULT, parse};

    #[test]
    fn the_default_layers_can_be_planned() {
        let layers = parse(DEFAULT).expect("the file of this package");
        assert_eq!(layers.len(), 21);
        for layer in &layers {
            let plan = Conv2dPlan::new(layer.conv, Options::default());
            assert!(plan.is_ok(), "{}: {plan:?}", layer.name);
        }
        let dilated =
            layers.iter().find(|layer| layer.name == "dilated_28").expect("it is the last");
        assert_eq!(
            (dilated.n, dilated.conv.in_channels, dilated.conv.window.dilation_w),
            (4, 256, 2)
        );
    }

    #[test]
    fn columns_in_any_order() {
        let mut columns = COLUMNS;
        columns.reverse();
        let text = format!(
            "# a comment\n{}\n\n2,1,3,14,13,12,11,10,9,8,7,6,5,4,4,2,odd\n",
            columns.join(" , ")
        );
        let layers = parse(&text).expect("all columns are there");
        let conv = &layers[0].conv;
        assert_eq!((layers[0].name.as_str(), layers[0].n), ("odd", 2));
        assert_eq!((conv.in_channels, conv.in_h, conv.in_w, conv.out_channels), (4, 4, 5, 6));
        assert_eq!((conv.window.kernel_h, conv.window.stride_w, conv.groups), (7, 10, 2));
        let padding = conv.window.padding;
        let sides = [padding.top, padding.left, padding.bottom, padding.right];
        assert_eq!(sides, [11, 12, 13, 14]);
        assert_eq!((conv.window.dilation_h, conv.window.dilation_w), (3, 1));
    }

    #[test]
    fn bad_tables_say_where() {
        let header = COLUMNS.join(",");
        let good = format!("a{}", ",1".repeat(16));
        let message = |text: String| parse(&text).expect_err("a bad table");
        assert!(message(String::new()).contains("empty"));
        assert!(message(header.clone()).contains("no layer"));
        assert!(message(header.replace(",kw", "")).contains("the column kw is missing"));
        assert!(message(header.replace("kw", "kh")).contains("the column kh stands twice"));
        assert!(message(format!("{header},x")).contains("no column \"x\""));
        assert!(message(format!("{header}\n{good}\n{good}")).contains("line 3: a second layer"));
        assert!(message(format!("{header}\na,1")).contains("line 2: has 2 fields"));
        let negative = message(format!("{header}\na,-1{}", ",1".repeat(15)));
        assert!(negative.contains("line 2: a: n is \"-1\""), "{negative}");
    }
}
