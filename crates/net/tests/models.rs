//! The networks: their published numbers, and that they learn.

use net::models::{AlexNet, AlexNetSmall, LeNet5, Model, Vgg};
use net::{
    Builder, Control, Init, Observer, Rule, Sequential, StepReport, TensorSamples, TrainOptions,
    Trainer,
};
use tensor4::{Shape4, Tensor4};

/// Without a number drawn: VGG has 140 million.
fn empty(plan: Builder<f32>) -> Sequential<f32> {
    plan.init(Init::Zeros).build(1).expect("the layers fit")
}

#[test]
fn the_published_numbers_of_parameters() {
    for (model, parameters) in [
        (Model::SimpleConvNet, 433_890),
        (Model::LeNet5, 60_850),
        (Model::LeNet5Modern, 61_706),
        (Model::DeepConvNet, 123_552),
        (Model::AlexNet, 60_965_224),
        (Model::AlexNetSmall, 1_011_978),
        (Model::AlexNetTorchvision, 61_100_840),
        (Model::Vgg11, 132_863_336),
        (Model::Vgg13, 133_047_848),
        (Model::Vgg16, 138_357_544),
        (Model::Vgg19, 143_667_240),
    ] {
        let net = empty(model.plan(None, None));
        assert_eq!(net.parameter_count(), parameters, "{model}");
        let sum: usize = net.summary().unwrap().iter().map(|line| line.parameters).sum();
        assert_eq!(sum, parameters, "{model}");
        // Before it is built; a table of connections does not say.
        let table = if model == Model::LeNet5 { 1516 } else { 0 };
        assert_eq!(model.plan::<f32>(None, None).parameters().unwrap(), parameters - table);
        let many = model.plan::<f32>(None, Some(usize::MAX / 2)).parameters();
        assert!(many.map_or(true, |many| many > 1 << 50), "{model}");
    }
    assert_eq!(Model::ALL.len(), 11, "each has its number above");
}

/// Those layers of the table that have parameters.
fn layers(net: &Sequential<f32>) -> Vec<(String, usize)> {
    let lines = net.summary().unwrap().into_iter().filter(|line| line.parameters > 0);
    lines.map(|line| (line.name, line.parameters)).collect()
}

#[test]
fn lenet5_layer_by_layer() {
    let published = layers(&empty(LeNet5::published().plan()));
    let expected = [
        ("c1", 156),
        ("s2", 12),
        ("c3", 1516),
        ("s4", 32),
        ("c5", 48_120),
        ("f6", 10_164),
        ("output", 850),
    ];
    let expected: Vec<_> = expected.map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(published, expected);
    let full = layers(&empty(LeNet5::default().plan()));
    assert_eq!(full[2], ("c3".to_owned(), 2416), "all-to-all");
    assert_eq!(full.len(), published.len());
    // 28x28 pixels become 32x32, larger images stay as they are.
    let first = |input: [usize; 2]| {
        let net = empty(LeNet5::modern().input(3, input[0], input[1]).plan());
        let line = net.summary().unwrap().into_iter().find(|line| line.name == "c1").unwrap();
        let [_, _, h, w] = line.output.dims();
        [h, w]
    };
    assert_eq!([first([28, 28]), first([32, 32]), first([29, 40])], [[28, 28], [28, 28], [28, 36]]);
}

#[test]
fn alexnet_layer_by_layer() {
    let net = empty(AlexNet::default().plan());
    let counts: Vec<usize> = layers(&net).into_iter().map(|(_, count)| count).collect();
    let expected = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000];
    assert_eq!(counts, expected);
    let output = |name: &str| {
        let lines = net.summary().unwrap();
        let line = lines.into_iter().find(|line| line.name == name).unwrap();
        let [_, c, h, w] = line.output.dims();
        [c, h, w]
    };
    assert_eq!(output("conv1"), [96, 55, 55]);
    assert_eq!(output("pool1"), [96, 27, 27]);
    assert_eq!(output("pool2"), [256, 13, 13]);
    assert_eq!(output("pool3"), [256, 6, 6]);
}

#[test]
fn inputs_and_classes_are_free() {
    for &model in Model::ALL {
        let side = model.input()[1];
        let input = [2, side, side + 3];
        let net = empty(model.plan(Some(input), Some(7)));
        let [_, c, h, w] = net.input_shape().dims();
        assert_eq!([c, h, w], input, "{model}");
        assert_eq!(net.summary().unwrap().last().unwrap().output.dims(), [1, 7, 1, 1], "{model}");
    }
    // The smallest images that their tables allow, and one pixel less.
    empty(AlexNet::default().input(3, 67, 67).hidden(8).plan());
    let smaller = AlexNet::default().input(3, 66, 67).hidden(8).build::<f32>(1).unwrap_err();
    assert!(smaller.to_string().starts_with("layer pool3 does not take"), "{smaller}");
    empty(AlexNetSmall::default().input(3, 15, 15).plan());
    AlexNetSmall::default().input(3, 14, 15).build::<f32>(1).unwrap_err();
    empty(Vgg::vgg11().input(1, 28, 20).hidden(8).plan());
}

#[test]
fn weights_follow_from_the_seed() {
    let weights = |seed| {
        let net = Model::LeNet5.build::<f32>(None, None, seed).expect("the layers fit");
        net.parameters().flat_map(|p| p.value().data().to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!(weights(3), weights(3));
    assert_ne!(weights(3), weights(4));
}

/// 64 images of 8x8 patches of random colours in 10 classes: one batch of them, as often as there
/// are steps. Without dropout, which is there to prevent what is tested.
#[test]
fn alexnet_for_small_images_learns_64_random_images_by_heart() {
    struct Losses(Vec<f64>);
    impl Observer<f32> for Losses {
        fn on_step(&mut self, report: &StepReport) -> Control {
            self.0.push(report.loss);
            Control::Continue
        }
    }

    let patches = Tensor4::<f32>::normal(Shape4::new(64, 3, 8, 8).unwrap(), 0.0, 1.0, 1);
    let images = Tensor4::from_fn(Shape4::new(64, 3, 32, 32).unwrap(), |n, c, h, w| {
        patches.plane(n, c)[h / 4 * 8 + w / 4]
    });
    let labels = (0..64).map(|image| image * 7 % 10).collect();
    let samples = TensorSamples::new(images, labels).expect("a label for each image");
    let mut net = AlexNetSmall::default().dropout(0.0).build::<f32>(1).expect("the layers fit");
    let options = TrainOptions::default().epochs(30).batch_size(64);
    let mut trainer = Trainer::new(options, Rule::adam(0.0005)).expect("the rule fits");
    let mut losses = Losses(Vec::new());
    trainer.fit(&mut net, &samples, None, &mut losses).expect("it does not diverge");
    let (first, last) = (losses.0[0], losses.0[29]);
    assert_eq!(losses.0.len(), 30);
    assert!(last < 0.1 * first, "from {first} to {last}: {:?}", losses.0);
}
