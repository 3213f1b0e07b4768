//! What channels look for, what they are excited by, and what is mistaken for what.

mod common;

use net::{Mode, Tape};
use proptest::prelude::*;
use report::{
    Area, Confusion, Maximise, ReceptiveField, ReportError, Verdict, excited, feature_maps, gather,
    layer_channels, learning_layers, maximise, stages, verdicts, worst_mistakes,
};

#[test]
fn stages_begin_at_weights_and_where_the_shape_changes() {
    let net = common::network(1);
    let stages = stages(&net).unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["conv1 → relu1", "pool1 → dropout1", "conv2 → relu2", "affine1"]);
    assert_eq!(stages.iter().map(|s| s.learns).collect::<Vec<_>>(), [true, false, true, true]);

    assert_eq!(learning_layers(&net, &[]).unwrap(), [0, 4, 6]);
    let named = ["affine1", "conv1", "affine1"].map(String::from);
    assert_eq!(learning_layers(&net, &named).unwrap(), [0, 6]);
    let error = learning_layers(&net, &["relu1".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("conv1, conv2, affine1"), "{error}");
}

#[test]
fn receptive_fields_are_those_of_the_windows() {
    let mut net = common::network(1);
    let mut tape = Tape::new();
    let conv1 = ReceptiveField::of(&mut net, 0, &mut tape).unwrap();
    // The unit in row 6 and column 7 sees the pixels around that place.
    assert_eq!(conv1.area, Area { top: 5, left: 6, height: 3, width: 3 });
    assert_eq!((conv1.stride, conv1.whole), ([1, 1], false));
    assert_eq!(conv1.at(0, 2), Area { top: -1, left: 1, height: 3, width: 3 });

    // 3x3 of 2x2 pools of 3x3: 6 pixels and one on each side.
    let conv2 = ReceptiveField::of(&mut net, 4, &mut tape).unwrap();
    assert_eq!((conv2.area.height, conv2.area.width), (8, 8));
    assert_eq!((conv2.stride, conv2.middle), ([2, 2], [2, 2]));
    assert_eq!((conv2.area.top, conv2.area.left), (3, 3));

    let affine = ReceptiveField::of(&mut net, 6, &mut tape).unwrap();
    assert!(affine.whole);
}

#[test]
fn the_ascent_raises_every_activation_and_stays_in_the_range() {
    let mut net = common::network(4);
    for layer in [0, 4, 6] {
        let options = Maximise::default().steps(60);
        let channels = [0, 1, 2];
        let found = maximise(&mut net, layer, &channels, options).unwrap();
        for (channel, (before, after)) in found.before.iter().zip(&found.after).enumerate() {
            assert!(after > before, "layer {layer}, channel {channel}: {before} to {after}");
        }
        assert!(found.images.data().iter().all(|pixel| (0.0..=1.0).contains(pixel)));

        // It excites the channel more than any of a hundred images of noise does on average.
        let mut tape = Tape::recording();
        net.forward(found.images.view(), &mut tape, Mode::Eval).unwrap();
        let output = tape.output(layer).unwrap();
        let [row, col] = found.field.middle;
        for (image, &channel) in channels.iter().enumerate() {
            assert_eq!(output[(image, channel, row, col)], found.after[image]);
        }
    }
}

#[test]
fn the_ascent_follows_from_the_seed_alone() {
    let mut net = common::network(4);
    let mut found = |seed| maximise(&mut net, 4, &[1, 3], Maximise::default().seed(seed)).unwrap();
    let first = found(1);
    assert_eq!(first, found(1));
    assert_ne!(first.images, found(2).images);
}

#[test]
fn a_channel_or_layer_that_is_not_there_is_an_error() {
    let mut net = common::network(4);
    let error = maximise(&mut net, 0, &[5], Maximise::default()).unwrap_err();
    assert!(matches!(error, ReportError::Setting { value: 5.0, .. }), "{error}");
    let error = maximise(&mut net, 9, &[0], Maximise::default()).unwrap_err();
    assert!(error.to_string().contains("there is no layer 9"), "{error}");
}

#[test]
fn exciting_images_are_those_of_the_largest_activations() {
    let net = common::network(2);
    let samples = common::samples(130);
    let mut seen = 0;
    let layers = [0, 4, 6];
    let found = excited(&net, &samples, &layers, 4, &mut |images| seen = images).unwrap();
    assert_eq!(seen, 130);
    let (x, _) = gather(&samples, &(0..130).collect::<Vec<_>>()).unwrap();
    let mut tape = Tape::recording();
    net.forward(x.view(), &mut tape, Mode::Eval).unwrap();
    for excited in &found {
        let output = tape.output(excited.layer).unwrap();
        assert_eq!(excited.channels.len(), output.shape().c());
        for (channel, best) in excited.channels.iter().enumerate() {
            let strength = |image: usize| {
                output.plane(image, channel).iter().copied().fold(f32::NEG_INFINITY, f32::max)
            };
            let mut expected: Vec<usize> = (0..130).collect();
            expected.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)));
            let images: Vec<usize> = best.iter().map(|excitation| excitation.image).collect();
            assert_eq!(images, expected[..4], "channel {channel}");
            for e in best {
                assert_eq!(e.activation, output[(e.image, channel, e.row, e.col)]);
            }
        }
    }
}

#[test]
fn pictures_of_channels_and_maps_are_as_many_as_asked_for() {
    let mut net = common::network(2);
    let samples = common::samples(20);
    let found = excited(&net, &samples, &[4], 3, &mut |_| {}).unwrap();
    let options = Maximise::default().steps(5);
    let layer = layer_channels(&mut net, &samples, &found[0], 2, options).unwrap();
    assert_eq!((layer.name.as_str(), layer.of, layer.channels.len()), ("conv2", 4, 2));
    // As much of the input as the unit sees, 8x8, enlarged to 64.
    assert_eq!((layer.channels[0].ideal.width(), layer.channels[0].ideal.height()), (64, 64));
    assert!(layer.channels.iter().all(|channel| channel.images.len() == 3));
    assert!(layer.sheet(2).width() > 4 * 64);

    let (x, _) = gather(&samples, &[3, 8]).unwrap();
    let maps = feature_maps(&net, x.view(), 3).unwrap();
    let shapes: Vec<[usize; 3]> = maps.iter().map(|stage| stage[1].shape).collect();
    assert_eq!(shapes, [[5, 12, 14], [5, 6, 7], [4, 4, 5], [3, 1, 1]]);
    assert!(maps.iter().all(|stage| stage.len() == 2));
}

#[test]
fn verdicts_are_those_of_the_network() {
    let net = common::network(2);
    let samples = common::samples(130);
    let all = verdicts(&net, &samples, &mut |_| {}).unwrap();
    let evaluation = net::evaluate(&net, &samples, 50).unwrap();
    let confusion = Confusion::of(&all, 3);
    assert_eq!(confusion.images(), 130);
    assert_eq!(confusion.correct(), evaluation.correct);
    let loss: f64 = all.iter().map(|v| -f64::from(v.of_label).ln()).sum::<f64>() / 130.0;
    assert!((loss - evaluation.loss).abs() < 1e-5, "{loss} {}", evaluation.loss);

    let worst = worst_mistakes(&all, 10);
    assert!(worst.iter().all(|v| v.label != v.predicted && v.probability >= v.of_label));
    assert!(worst.is_sorted_by(|a, b| a.of_label <= b.of_label));
    let best_kept = worst.last().unwrap().of_label;
    let left_out = all.iter().filter(|v| v.label != v.predicted && v.of_label < best_kept);
    assert!(left_out.count() < 10);
}

proptest! {
    #[test]
    fn the_sums_of_a_confusion_are_its_images(
        pairs in proptest::collection::vec((0_usize..6, 0_usize..6), 0..200),
    ) {
        let verdict = |(image, &(label, predicted)): (usize, &(usize, usize))| Verdict {
            image, label, predicted, probability: 0.5, of_label: 0.5,
        };
        let all: Vec<Verdict> = pairs.iter().enumerate().map(verdict).collect();
        let confusion = Confusion::of(&all, 6);
        prop_assert_eq!(confusion.images(), pairs.len());
        let scores: Vec<_> = (0..6).map(|class| confusion.score(class)).collect();
        prop_assert_eq!(scores.iter().map(|s| s.images).sum::<usize>(), pairs.len());
        prop_assert_eq!(scores.iter().map(|s| s.taken).sum::<usize>(), pairs.len());
        for (class, score) in scores.iter().enumerate() {
            let images = pairs.iter().filter(|(label, _)| *label == class).count();
            let taken = pairs.iter().filter(|(_, predicted)| *predicted == class).count();
            let hits = pairs.iter().filter(|pair| **pair == (class, class)).count();
            prop_assert_eq!((score.images, score.taken), (images, taken));
            if images > 0 {
                prop_assert_eq!(score.recall, hits as f64 / images as f64);
            } else {
                prop_assert!(score.recall.is_nan());
            }
            prop_assert_eq!(score.precision.is_nan(), taken == 0);
        }
    }
}
