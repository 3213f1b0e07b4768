//! Every optimiser over ten steps against PyTorch.

mod common;

use common::bits;
use net::{NetScalar, Optimizer, Rule};
use testkit::{Golden, assert_close};

/// The rule that a case of the file was made with.
fn rule(golden: &Golden, case: &str) -> Rule {
    let number = |what: &str| golden.scalar(&format!("{case}.{what}"));
    let (lr, weight_decay) = (number("lr"), number("weight_decay"));
    match case {
        "sgd" | "momentum" | "momentum_wd" | "nesterov" => Rule::Sgd {
            lr,
            momentum: number("momentum"),
            nesterov: case == "nesterov",
            weight_decay,
        },
        "adagrad" => Rule::AdaGrad { lr, eps: number("eps"), weight_decay },
        "rmsprop" => {
            assert_eq!(number("momentum"), 0.0, "our RMSprop has no momentum");
            Rule::RmsProp { lr, alpha: number("alpha"), eps: number("eps"), weight_decay }
        }
        "adam" | "adam_wd" => Rule::Adam {
            lr,
            beta1: number("beta1"),
            beta2: number("beta2"),
            eps: number("eps"),
            weight_decay,
        },
        "adamw" => Rule::AdamW {
            lr,
            beta1: number("beta1"),
            beta2: number("beta2"),
            eps: number("eps"),
            weight_decay,
        },
        other => panic!("no rule for the case {other}"),
    }
}

/// The parameter after each step. `copies` times the same one, cut into parameters of the lengths
/// `parts` (which go round).
fn trajectory<T: NetScalar>(
    rule: Rule,
    p: &[f64],
    grads: &[f64],
    copies: usize,
    parts: &[usize],
) -> Vec<Vec<T>> {
    let cast = |values: &[f64]| -> Vec<T> {
        let one = values.iter().map(|&value| T::from_f64(value));
        std::iter::repeat_n(one, copies).flatten().collect()
    };
    let mut optimizer = Optimizer::new(rule).expect("PyTorch takes these");
    let mut value = cast(p);
    let mut trajectory = Vec::new();
    for grad in grads.chunks_exact(p.len()) {
        let grad = cast(grad);
        optimizer.begin_step();
        let mut start = 0;
        for (index, &part) in parts.iter().cycle().enumerate() {
            let end = (start + part).min(value.len());
            optimizer.update(index, &mut value[start..end], &grad[start..end]);
            start = end;
            if start == value.len() {
                break;
            }
        }
        trajectory.push(value.clone());
    }
    assert_eq!(optimizer.steps(), trajectory.len() as u64);
    trajectory
}

#[test]
fn ten_steps_of_every_optimiser() {
    let golden = Golden::load("optim");
    let cases = golden.cases();
    assert_eq!(cases.len(), 9, "{cases:?}");
    for case in &cases {
        let p = golden.values(&format!("{case}.p"));
        let grads = golden.values(&format!("{case}.grads"));
        let expected = golden.values(&format!("{case}.trajectory"));
        assert_eq!((p.len(), grads.len(), expected.len()), (7, 70, 70), "{case}");
        let rule = rule(&golden, case);
        let double = trajectory::<f64>(rule, &p, &grads, 1, &[7]);
        let single = trajectory::<f32>(rule, &p, &grads, 1, &[7]);
        assert_eq!((double.len(), single.len()), (10, 10), "{case}");
        for (step, expected) in expected.chunks_exact(p.len()).enumerate() {
            let what = format!("{case}, step {}", step + 1);
            assert_close(&what, &double[step], expected, 1e-12);
            assert_close(&format!("{what} in f32"), &single[step], expected, 1e-5);
            // The elements with gradients of all sizes, each on its own scale.
            for (i, (&actual, &expected)) in double[step].iter().zip(expected).enumerate() {
                assert_close(&format!("{what}, element {i}"), &[actual], &[expected], 1e-11);
            }
        }
    }
}

/// Each parameter has moments of its own, whatever it is next to, and whatever thread it runs on.
#[test]
fn elements_do_not_depend_on_each_other() {
    let golden = Golden::load("optim");
    for case in golden.cases() {
        let p = golden.values(&format!("{case}.p"));
        let grads = golden.values(&format!("{case}.grads"));
        let rule = rule(&golden, &case);
        let alone = trajectory::<f32>(rule, &p, &grads, 1, &[7]);
        let in_parts = trajectory::<f32>(rule, &p, &grads, 1, &[2, 5]);
        let copies = 5000;
        let many = trajectory::<f32>(rule, &p, &grads, copies, &[7 * copies]);
        for ((alone, in_parts), many) in alone.iter().zip(&in_parts).zip(&many) {
            assert_eq!(bits(alone), bits(in_parts), "{case}");
            assert!(many.chunks_exact(7).all(|copy| bits(copy) == bits(alone)), "{case}");
        }
    }
}

/// A scale counts as a factor of the learning rate; another one replaces it.
#[test]
fn the_scale_multiplies_the_learning_rate() {
    let golden = Golden::load("optim");
    for case in golden.cases() {
        let full = rule(&golden, &case);
        let mut quarter = full;
        match &mut quarter {
            Rule::Sgd { lr, .. }
            | Rule::AdaGrad { lr, .. }
            | Rule::RmsProp { lr, .. }
            | Rule::Adam { lr, .. }
            | Rule::AdamW { lr, .. } => *lr *= 0.25,
            other => panic!("no learning rate in {other:?}"),
        }
        let mut expected = Optimizer::<f64>::new(quarter).expect("a smaller rate");
        let mut scaled = Optimizer::<f64>::new(full).expect("PyTorch takes these");
        scaled.set_scale(0.5);
        scaled.set_scale(0.25);
        let mut values = [golden.values(&format!("{case}.p")), golden.values(&format!("{case}.p"))];
        for grad in golden.values(&format!("{case}.grads")).chunks_exact(7) {
            for (optimizer, value) in [&mut expected, &mut scaled].into_iter().zip(&mut values) {
                optimizer.begin_step();
                optimizer.update(0, value, grad);
            }
            assert_eq!(bits(&values[0]), bits(&values[1]), "{case}");
        }
    }
}

/// The short forms of the rules have PyTorch's defaults.
#[test]
fn defaults_are_those_of_pytorch() {
    let golden = Golden::load("optim");
    for (case, short) in [
        ("sgd", Rule::sgd(0.1)),
        ("momentum", Rule::momentum(0.1, 0.9)),
        ("nesterov", Rule::nesterov(0.1, 0.9)),
        ("adagrad", Rule::ada_grad(0.01)),
        ("rmsprop", Rule::rms_prop(0.01)),
        ("adam", Rule::adam(0.001)),
        ("adamw", Rule::adam_w(0.001)),
    ] {
        assert_eq!(rule(&golden, case), short, "{case}");
        assert_eq!(short.name(), case);
        assert_eq!(short.learning_rate(), golden.scalar(&format!("{case}.lr")));
    }
}

#[test]
fn all_parameters_at_once_change_as_one_by_one() {
    let rules = [
        Rule::sgd(0.1),
        Rule::nesterov(0.1, 0.9),
        Rule::ada_grad(0.1),
        Rule::rms_prop(0.01),
        Rule::adam(0.01).with_weight_decay(0.1),
        Rule::adam_w(0.01),
    ];
    // More than are taken at a time, with gaps between their indices, and a large one.
    let lens: Vec<_> = (0..140).map(|i| if i == 70 { 90_000 } else { i * 37 % 900 }).collect();
    let grads: Vec<Vec<f32>> =
        lens.iter().map(|&len| (0..len).map(|i| (i % 19) as f32 - 9.0).collect()).collect();
    for rule in rules {
        let mut one_by_one: Vec<_> = lens.iter().map(|&len| vec![1.0_f32; len]).collect();
        let mut at_once = one_by_one.clone();
        let mut first = Optimizer::new(rule).expect("the rule fits");
        let mut second = first.clone();
        for _ in 0..3 {
            first.begin_step();
            for (i, (value, grad)) in one_by_one.iter_mut().zip(&grads).enumerate() {
                first.update(2 * i, value, grad);
            }
            second.begin_step();
            let parameters = at_once.iter_mut().zip(&grads).enumerate();
            second.update_all(parameters.map(|(i, (p, g))| (2 * i, &mut p[..], &g[..])));
        }
        for (one, all) in one_by_one.iter().zip(&at_once) {
            assert_eq!(bits(one), bits(all), "{}", rule.name());
        }
        assert!(first == second, "the moments of {}", rule.name());
    }
}
