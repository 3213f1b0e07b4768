//! tmp
use net::models::SimpleConvNet;
use net::*;
use tensor4::*;
#[test]
fn t() {
    for std in [0.01, 0.05, 0.2] {
        for step in [1e-2, 2e-3, 3e-4, 5e-5] {
            for seed in 1..4 {
                let mut net: Sequential<f64> = SimpleConvNet::default().weight_std(std).build(seed).unwrap();
                let x = Tensor4::normal(net.input_shape().with_n(3).unwrap(), 0.0, 1.0, 7 * seed);
                let mut o = GradientCheck::default().elements(12);
                o.step = step;
                let e = gradient_check(&mut net, x.view(), &[3, 0, 9], o).unwrap();
                println!("{std} {step} {seed} {}", e.iter().map(|e| format!("{:.1e}", e.relative)).collect::<Vec<_>>().join(" "));
            }
        }
    }
}
