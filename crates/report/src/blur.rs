//! Blur, to keep noise out of pictures.

use tensor4::Tensor4;

/// Blurs every plane by a Gaussian of the given standard deviation, in pixels; one of 0 changes
/// nothing. The pixels at the border are repeated beyond it.
pub(crate) fn blur(images: &mut Tensor4<f32>, deviation: f64) {
    let weights = gaussian(deviation);
    let [_, _, h, w] = images.dims();
    if weights.len() == 1 || h * w == 0 {
        return;
    }
    let mut line = vec![0.0; h.max(w)];
    for plane in images.data_mut().chunks_exact_mut(h * w) {
        for row in 0..h {
            along(plane, row * w, 1, w, &weights, &mut line);
        }
        for col in 0..w {
            along(plane, col, w, h, &weights, &mut line);
        }
    }
}

/// Blurs `len` pixels of a plane, `stride` apart.
fn along(
    plane: &mut [f32],
    start: usize,
    stride: usize,
    len: usize,
    weights: &[f32],
    line: &mut [f32],
) {
    let reach = weights.len() / 2;
    for (i, sum) in line[..len].iter_mut().enumerate() {
        *sum = 0.0;
        for (tap, weight) in weights.iter().enumerate() {
            let at = (i + tap).saturating_sub(reach).min(len - 1);
            *sum += weight * plane[start + at * stride];
        }
    }
    for (i, &sum) in line[..len].iter().enumerate() {
        plane[start + i * stride] = sum;
    }
}

/// The weights of a Gaussian at whole pixels up to three deviations away; their sum is 1.
fn gaussian(deviation: f64) -> Vec<f32> {
    if deviation <= 0.0 {
        return vec![1.0];
    }
    let reach = (3.0 * deviation).ceil() as i64;
    let weights: Vec<f64> = (-reach..=reach)
        .map(|x| (-((x * x) as f64) / (2.0 * deviation * deviation)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use tensor4::Shape4;

    use super::*;

    #[test]
    fn a_point_spreads_with_the_variance_asked_for_and_nothing_is_lost() {
        let shape = Shape4::new(1, 1, 41, 41).unwrap();
        let mut image =
            Tensor4::from_fn(shape, |_, _, h, w| if (h, w) == (20, 20) { 1.0 } else { 0.0 });
        blur(&mut image, 2.0);
        let sum: f32 = image.data().iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let variance: f32 = (0..41)
            .flat_map(|h| (0..41).map(move |w| (h, w)))
            .map(|(h, w)| image[(0, 0, h, w)] * (h as f32 - 20.0).powi(2))
            .sum();
        assert!((variance - 4.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn an_even_image_stays_as_it_is() {
        let shape = Shape4::new(2, 1, 3, 5).unwrap();
        let mut image = Tensor4::from_fn(shape, |_, _, _, _| 0.25);
        blur(&mut image, 1.5);
        assert!(image.data().iter().all(|x| (x - 0.25).abs() < 1e-6));
        let before = image.clone();
        blur(&mut image, 0.0);
        assert_eq!(image, before);
    }
}
