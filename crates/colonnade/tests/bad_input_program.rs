//! What the program reads of others, damaged: an error or a value, never a panic.

use std::path::Path;

use colonnade::untrusted::{self, Refused};
use weights::safetensors;

fn testdata(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images").join(name);
    std::fs::read(path).expect("it was committed")
}

const SETTINGS: &str = "\
model = \"simple-convnet\"
augment = 'crop=2,flip'
image-size = \"32x24\"
normalize = false
epochs = 3
lr = 1.5e-3
warmup = \"1epoch\"
[x]
a = [1, { b = 1979-05-27T07:32:00Z }]
";

const RUN: &str = r#"{"model": "lenet5", "data": "mnist", "input": [1, 28, 28], "classes": 10,
"class_names": ["a", "é"], "resize": null, "normalize": true, "mean": [0.5], "std": [1e-3]}"#;

const MARK: &str = r#"{"epochs":1,"step":2,"step_in_epoch":1,"loss_sum":0.5,"correct":3,"images":4,
"line":{"loss":1.0,"correct":1,"images":2},"seconds":1.5,"best":null}"#;

fn state() -> Vec<u8> {
    let tensor = ("weights/a", &[2][..], &[1.0, 2.0][..]);
    safetensors::to_bytes([tensor], [("state", MARK)]).expect("it fits")
}

/// Reads every beginning of a text, and it with every single bit flipped; says how many were read.
fn damage(whole: &[u8], read: impl Fn(&[u8]) -> Result<(), Refused>) -> usize {
    let mut read_well = 0;
    let mut attempt = |bytes: &[u8]| match read(bytes) {
        Ok(()) => read_well += 1,
        Err(error) => assert!(!error.to_string().is_empty()),
    };
    for len in 0..whole.len() {
        attempt(&whole[..len]);
    }
    let mut bytes = whole.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            attempt(&bytes);
            bytes[at] ^= 1 << bit;
        }
    }
    read_well
}

#[test]
fn settings_of_a_training() {
    let (good, _) = SETTINGS.split_once("[x]").expect("there it ends");
    untrusted::settings(good.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert!(damage(good.as_bytes(), untrusted::settings) > 0);
    damage(SETTINGS.as_bytes(), untrusted::settings);
    for bytes in [&b"\xff"[..], b"model = \"\0\"", b"seed = 99999999999999999999"] {
        assert!(untrusted::settings(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn settings_without_end_or_bottom() {
    for text in ["[", "{a=", "[[", "a.", "\"", "'''", "a=[", "{", "#", "lr = 1\n"] {
        for count in [1000, 100_000, 2_000_000 / text.len()] {
            assert!(
                untrusted::settings(text.repeat(count).as_bytes()).is_err() || text == "#",
                "{count} of {text}"
            );
        }
    }
    let error = untrusted::settings(&vec![b'#'; (1 << 20) + 1]).expect_err("it is too long");
    assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
    for text in ["[", "{\"a\":"] {
        assert!(untrusted::run_settings(text.repeat(200_000).as_bytes()).is_err());
    }
}

#[test]
fn settings_and_state_of_a_run() {
    untrusted::run_settings(RUN.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert!(damage(RUN.as_bytes(), untrusted::run_settings) > 0);
    untrusted::state(&state()).unwrap_or_else(|e| panic!("{e}"));
    assert!(damage(&state(), |bytes| untrusted::state(bytes).map(drop)) > 0);
}

#[test]
fn pictures_to_be_recognised() {
    for name in ["grey.png", "rgba.png", "colour.jpg", "progressive.jpg"] {
        for (shape, digit) in [([1, 28, 28], true), ([3, 5, 4], false)] {
            let read = |bytes: &[u8]| {
                let pixels = untrusted::picture(bytes, shape, digit)?;
                assert_eq!(pixels.len(), shape.iter().product::<usize>());
                assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)), "{name}");
                Ok(())
            };
            let whole = testdata(name);
            read(&whole).unwrap_or_else(|e: Refused| panic!("{name}: {e}"));
            assert!(damage(&whole, read) > 0, "{name}");
        }
    }
    for bytes in [&b""[..], b"GIF89a", b"P6 1 1 255 abc"] {
        assert!(untrusted::picture(bytes, [1, 28, 28], true).is_err());
    }
}
