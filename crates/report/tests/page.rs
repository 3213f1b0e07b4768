//! The page and its curves: well-formed, whole, and safe against names.

mod common;

use proptest::prelude::*;
use report::{
    Axis, Chart, Confusion, Maximise, Metrics, PAGE_LIMIT, Page, Picture, ReportError, Series,
    Times, Verdict, escape, excited, feature_maps, filter_pictures, gather, layer_channels,
    layer_times,
};

const NASTY: &str = "<script>alert('x & \"y\"')</script>";

/// Checks that tags close in the order in which they open; gives all tags.
#[track_caller]
fn well_formed(text: &str) -> Vec<String> {
    const EMPTY: [&str; 5] = ["meta", "link", "img", "br", "!DOCTYPE"];
    let (mut open, mut tags) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').expect("every tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        tags.push(tag.to_owned());
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "{tag}");
        } else if !tag.ends_with('/') && !EMPTY.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    tags
}

fn chart(y: Axis, points: Vec<(f64, f64)>) -> Chart {
    Chart {
        title: NASTY.to_owned(),
        x_label: "a < b".to_owned(),
        y,
        from_zero: false,
        series: vec![
            Series { name: "\"first\"".to_owned(), points, faint: false },
            Series { name: "none".to_owned(), points: Vec::new(), faint: true },
        ],
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        -1e3..1e3_f64,
        1e-9..1e-3_f64,
        1e6..1e12_f64,
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
    ]
}

proptest! {
    #[test]
    fn charts_are_well_formed_whatever_the_points(
        points in proptest::collection::vec((number(), number()), 0..40),
        log in any::<bool>(),
    ) {
        let chart = chart(if log { Axis::Log } else { Axis::Linear }, points);
        let svg = chart.to_svg();
        well_formed(&svg);
        well_formed(&chart.to_inline_svg());
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
        prop_assert!(!svg.contains("<script"));
    }

    #[test]
    fn escaped_text_has_nothing_that_means_something(text in ".*") {
        let escaped = escape(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        let back = back.replace("&#39;", "'").replace("&amp;", "&");
        let plain: String =
            text.chars().map(|c| if c.is_control() && !"\t\n".contains(c) { ' ' } else { c }).collect();
        prop_assert_eq!(back, plain);
    }
}

#[test]
fn a_curve_goes_through_its_points() {
    let svg = chart(Axis::Linear, vec![(0.0, 0.0), (1.0, 5.0), (2.0, 10.0)]).to_svg();
    // From the lower left corner of the plot over its middle to the upper right one.
    assert!(svg.contains("M46.0 216.0L218.0 121.0L390.0 26.0"), "{svg}");
    let svg = chart(Axis::Log, vec![(0.0, 1.0), (1.0, 10.0), (2.0, 100.0)]).to_svg();
    assert!(svg.contains("M46.0 216.0L218.0 121.0L390.0 26.0"), "{svg}");
}

/// A page with everything on it.
fn page() -> Page {
    let mut net = common::network(3);
    let samples = common::samples(40);
    let (x, _) = gather(&samples, &[0, 1]).unwrap();
    let found = excited(&net, &samples, &[0, 4], 9, &mut |_| {}).unwrap();
    let options = Maximise::default().steps(4);
    let layers = found.iter().map(|e| layer_channels(&mut net, &samples, e, 4, options).unwrap());
    let layers: Vec<_> = layers.collect();
    let verdict = Verdict { image: 17, label: 1, predicted: 2, probability: 0.75, of_label: 0.1 };
    Page {
        title: format!("run {NASTY}"),
        subtitle: "40 test images".to_owned(),
        settings: vec![("data".to_owned(), NASTY.to_owned())],
        classes: vec!["cat".to_owned(), NASTY.to_owned()],
        epochs: Metrics::parse(
            "epoch,train_loss,test_loss,test_accuracy,seconds\n1,2.5,2.0,0.5,3\n2,1.0,,0.75,6\n",
        )
        .unwrap(),
        steps: Metrics::parse("epoch,loss,learning_rate\n0.5,3,0.1\n1,2,0.05\n").unwrap(),
        filters: Some(filter_pictures(&net, &net).unwrap()),
        inputs: vec![Picture::filled(4, 4, [9; 3])],
        stages: feature_maps(&net, x.view(), 4).unwrap(),
        layers,
        confusion: Some(Confusion::of(&[verdict], 3)),
        mistakes: vec![(verdict, Picture::filled(4, 4, [5; 3]))],
        input: Some(net.input_shape()),
        summary: net.summary().unwrap(),
        times: Some(Times { layers: layer_times(&net, 2, 1).unwrap(), images: 2, threads: 1 }),
    }
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let html = page().to_html().unwrap();
    let tags = well_formed(&html);
    assert!(html.len() < PAGE_LIMIT);
    for part in [
        "Training",
        "Filters",
        "Feature maps",
        "channels look for",
        "Worst mistakes",
        "Each class",
        "multiply-adds",
        "Settings",
        "conv 3x3, 5 filters",
        "prefers-color-scheme",
        "width=device-width",
        "image 17",
        "cat",
        "a unit sees 8 × 8 pixels",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // Neither script nor anything from elsewhere.
    assert!(!html.contains("<script"));
    // The slashes of Base64 are no address.
    for (i, part) in html.split("base64,").enumerate() {
        let text = if i == 0 { part } else { part.split_once('"').expect("the end").1 };
        assert!(!text.contains("//"), "{text}");
    }
    for tag in &tags {
        for attribute in ["src=\"", "href=\""] {
            let Some((_, value)) = tag.split_once(attribute) else { continue };
            let inside = ["data:image/png;base64,", "data:,", "#"];
            assert!(inside.iter().any(|start| value.starts_with(start)), "{tag}");
        }
    }
    // Every link leads to a section, every picture says what it is.
    for tag in tags.iter().filter(|tag| tag.starts_with("a href")) {
        let id = tag.split('#').nth(1).unwrap().trim_end_matches('"');
        assert!(html.contains(&format!("id=\"{id}\"")), "{tag}");
    }
    assert!(tags.iter().filter(|t| t.starts_with("img")).all(|t| t.contains("alt=\"")));
}

#[test]
fn a_page_about_nothing_is_a_page() {
    let html = Page { title: "empty".to_owned(), ..Page::default() }.to_html().unwrap();
    well_formed(&html);
    assert!(!html.contains("<section"));
}

#[test]
fn a_page_that_is_too_large_says_so() {
    // What can't be compressed.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    let large = Picture::from_fn(900, 900, |_, _| [noise(), noise(), noise()]);
    let page = Page { filters: Some([large.clone(), large]), ..Page::default() };
    let error = page.to_html().map(|html| html.len()).unwrap_err();
    assert!(matches!(error, ReportError::TooLarge { limit: PAGE_LIMIT, .. }), "{error}");
}

#[test]
fn many_classes_are_listed_by_pairs() {
    let verdict = |(image, label, predicted)| Verdict {
        image,
        label,
        predicted,
        probability: 0.9,
        of_label: 0.01,
    };
    let all = [(0, 3, 70), (1, 3, 70), (2, 5, 5), (3, 80, 1)].map(verdict);
    let page = Page { confusion: Some(Confusion::of(&all, 100)), ..Page::default() };
    let html = page.to_html().unwrap();
    well_formed(&html);
    assert!(!html.contains("class=\"confusion\""));
    let (first, second) = (
        html.find("<td>3</td><td class=\"left\">70</td><td>2</td>"),
        html.find("<td>80</td><td class=\"left\">1</td><td>1</td>"),
    );
    assert!(first.is_some() && first < second);
}

#[test]
fn metrics_name_the_line_that_does_not_fit() {
    let metrics = Metrics::parse("a,b\n1,2\n3,NaN\n4,\n5,6").unwrap();
    assert_eq!(metrics.column("a"), Some(&[1.0, 3.0, 4.0][..]), "the last line is not ended");
    assert_eq!(metrics.points("a", "b"), [(1.0, 2.0)]);
    assert_eq!(metrics.column("c"), None);
    for (text, line, part) in [("a,b\n1,2\n3\n", 3, "1 fields under 2 names"), ("a\nx\n", 2, "x")] {
        let error = Metrics::parse(text).unwrap_err();
        assert!(matches!(error, ReportError::Metrics { line: at, .. } if at == line), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(Metrics::parse("").unwrap().column("a"), None);
}
