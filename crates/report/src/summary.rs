//! The table of a network.

use net::LayerSummary;
use tensor4::Shape4;

/// The table of a network's layers as plain text: name, kind (and the layer in whose pass it is
/// computed, if that is another), output shape for one image, parameters and multiply-adds per image, with their sums in the last line.
///
/// ```
/// use net::models::SimpleConvNet;
///
/// let net = SimpleConvNet::default().build::<f32>(1)?;
/// let table = report::summary_table(net.input_shape(), &net.summary()?);
/// assert!(table.contains("conv 5x5, 30 filters"));
/// assert!(table.contains("433,890"));
/// # Ok::<(), net::NetError>(())
/// ```
#[must_use]
pub fn summary_table(input: Shape4, layers: &[LayerSummary]) -> String {
    let mut rows =
        vec![["layer", "kind", "output", "parameters", "multiply-adds"].map(String::from)];
    let text = String::from;
    rows.push([text("input"), text(""), image(input), text(""), text("")]);
    for layer in layers {
        rows.push([
            layer.name.clone(),
            kind(layer),
            image(layer.output),
            count(layer.parameters as u64),
            count(layer.multiply_adds),
        ]);
    }
    let parameters: usize = layers.iter().map(|layer| layer.parameters).sum();
    let multiply_adds = layers.iter().map(|layer| layer.multiply_adds).sum::<u64>();
    let total = grouped(multiply_adds);
    rows.push([text("total"), text(""), text(""), grouped(parameters as u64), total]);

    let widths: [usize; 5] =
        std::array::from_fn(|col| rows.iter().map(|row| row[col].len()).max().unwrap_or(0));
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
    let mut table = String::new();
    for (i, row) in rows.iter().enumerate() {
        if i == 1 || i + 1 == rows.len() {
            table += &rule;
            table += "\n";
        }
        let [a, b, c, d, e] = row;
        let [wa, wb, wc, wd, we] = widths;
        table += &format!("{a:wa$}  {b:wb$}  {c:wc$}  {d:>wd$}  {e:>we$}");
        table += "\n";
    }
    table
}

/// What a layer is, and in whose pass it is computed.
pub(crate) fn kind(layer: &LayerSummary) -> String {
    let within = layer.within.as_ref().map(|name| format!(", with {name}"));
    layer.kind.clone() + &within.unwrap_or_default()
}

/// The sizes of one image: `(30, 24, 24)`, or `100` where there is one row and one column.
pub(crate) fn image(shape: Shape4) -> String {
    match shape.dims() {
        [_, c, 1, 1] => c.to_string(),
        [_, c, h, w] => format!("({c}, {h}, {w})"),
    }
}

/// A count, or nothing for none.
pub(crate) fn count(count: u64) -> String {
    if count == 0 { String::new() } else { grouped(count) }
}

/// Digits in groups of three.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(
            [0, 7, 999, 1000, 433_890, 1_000_000].map(grouped),
            ["0", "7", "999", "1,000", "433,890", "1,000,000"]
        );
    }
}
