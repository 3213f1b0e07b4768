//! The course of the learning rate against PyTorch.

use net::{Schedule, TrainOptions};
use testkit::{Golden, assert_close};

#[test]
fn schedules_follow_their_definitions() {
    let golden = Golden::load("schedule");
    for case in golden.cases() {
        let settings = golden.values(&format!("{case}.settings"));
        let [epochs, per_epoch, warm_up, every, factor] = settings[..] else {
            panic!("{case}: five settings")
        };
        let options = TrainOptions::default().epochs(epochs as usize).warm_up(warm_up as u64);
        let step = Schedule::Step { epochs: every as usize, factor };
        for schedule in [Schedule::Constant, Schedule::Linear, step, Schedule::Cosine] {
            let name = format!("{case}.{}", schedule.name());
            let expected = golden.values(&name);
            let options = options.schedule(schedule);
            let actual: Vec<f64> = (1..=expected.len() as u64)
                .map(|step| options.scale(step, per_epoch as usize))
                .collect();
            assert_eq!(actual.len(), (epochs * per_epoch) as usize, "{name}");
            assert_close(&name, &actual, &expected, 1e-12);
        }
    }
}
