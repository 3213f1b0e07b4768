//! Headers that lie: each has its own error, with the numbers.

mod common;

use common::{Entry, TENSORS, archive, npy_header, npy_with, with_header};
use weights::WeightsError as E;
use weights::{npy, npz, read_bytes, safetensors};

macro_rules! assert_error {
    ($result:expr, $pattern:pat $(if $guard:expr)?, $($what:tt)+) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            Err(other) => panic!("{}: {other:?}", format!($($what)+)),
            Ok(_) => panic!("{}: it was read", format!($($what)+)),
        }
    };
}

/// A tensor in a header of safetensors.
fn tensor(name: &str, dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

fn one(dtype: &str, shape: &str, start: u64, end: u64, data: usize) -> Result<(), E> {
    let header = format!("{{{}}}", tensor("a", dtype, shape, start, end));
    safetensors::read(&with_header(&header, data), "x").map(drop)
}

#[test]
fn safetensors_headers_of_impossible_length() {
    let read = |len: u64, bytes: &[u8]| {
        safetensors::read(&[&len.to_le_bytes(), bytes].concat(), "x").map(drop)
    };
    for len in [(2 << 20) + 1, 100_000_001, u64::MAX / 2, u64::MAX - 7, u64::MAX] {
        assert_error!(read(len, b"{}"), E::HeaderTooLong { len: found, .. } if found == len, "{len}");
    }
    for len in [3, 100, 2 << 20] {
        assert_error!(
            read(len, b"{}"),
            E::CutOff { expected, actual: 10, .. } if expected == 8 + len,
            "{len}"
        );
    }
    assert_error!(read(0, b""), E::Header { .. }, "no header");
    assert_error!(safetensors::read(&[], "x"), E::CutOff { .. }, "nothing");
    assert!(read(2, b"{}").is_ok(), "nothing in it is no error");
}

#[test]
fn safetensors_headers_that_are_no_json_of_tensors() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_texts = format!("{{\"__metadata__\":{}}}", "{\"a\":".repeat(50_000));
    for header in [
        "",
        "[]",
        "null",
        "{",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{} {}",
        "{\"a\"}",
        "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":[]}",
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
        r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}"#,
        r#"{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        &deep,
        &deep_texts,
    ] {
        let start: String = header.chars().take(60).collect();
        assert_error!(safetensors::read(&with_header(header, 4), "x"), E::Header { .. }, "{start}");
    }
    let mut bytes = with_header("{\"aa\":1}", 0);
    bytes[10..12].copy_from_slice(&[0xff, 0xfe]);
    assert_error!(safetensors::read(&bytes, "x"), E::Header { .. }, "no UTF-8");
}

#[test]
fn safetensors_shapes_and_places_that_cannot_be() {
    assert_error!(one("F32", "[2]", 0, 4, 4), E::DataLen { expected: 8, .. }, "too small");
    assert_error!(one("F32", "[2]", 0, 12, 12), E::DataLen { expected: 8, .. }, "too large");
    assert_error!(one("F32", "[2]", 8, 0, 8), E::DataLen { .. }, "backwards");
    assert_error!(one("F32", "[1]", u64::MAX, 3, 8), E::DataLen { .. }, "around the end");
    assert_error!(one("F32", "[2]", 0, 8, 4), E::CutOff { expected: 8, actual: 4, .. }, "cut off");
    assert_error!(one("F32", "[1]", 0, 4, 8), E::TrailingBytes { expected: 4, .. }, "more");
    assert_error!(one("F32", "[1]", 4, 8, 8), E::Order { start: 4, expected: 0, .. }, "a hole");
    // Products that wrap around to 0, to 1, or to what is there.
    for shape in [
        "[4294967296,4294967296]",
        "[18446744073709551615,18446744073709551615]",
        "[4611686018427387904]",
        "[2305843009213693952]",
        "[0,18446744073709551615,2]",
        "[9223372036854775809,2,1]",
    ] {
        assert_error!(one("F32", shape, 0, 4, 4), E::ShapeTooLarge { .. }, "{shape}");
        assert_error!(one("F32", shape, 0, 0, 0), E::ShapeTooLarge { .. }, "{shape}");
    }
    assert_error!(
        one("F32", "[1000000000000]", 0, 4_000_000_000_000, 4),
        E::CutOff { expected: 4_000_000_000_000, actual: 4, .. },
        "more than there is"
    );
    let long = format!("[{}1]", "1,".repeat(8));
    assert_error!(one("F32", &long, 0, 4, 4), E::Rank { rank: 9, max: 8, .. }, "nine sizes");
    assert!(one("F32", "[]", 0, 4, 4).is_ok(), "a scalar");
    assert!(one("F32", "[0]", 0, 0, 0).is_ok(), "nothing");
    for (dtype, size) in
        [("F64", 8), ("I64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1), ("F8_E4M3", 1)]
    {
        assert_error!(one(dtype, "[1]", 0, size, size as usize), E::Dtype { .. }, "{dtype}");
    }
    assert_error!(one("f32", "[1]", 0, 4, 4), E::Dtype { .. }, "no such type");
}

#[test]
fn safetensors_that_share_bytes_or_names() {
    let read = |tensors: &[String], data: usize| {
        safetensors::read(&with_header(&format!("{{{}}}", tensors.join(",")), data), "x").map(drop)
    };
    let (a, b) = (tensor("a", "F32", "[2]", 0, 8), tensor("b", "F32", "[1]", 8, 12));
    assert!(read(&[a.clone(), b.clone()], 12).is_ok());
    assert!(read(&[b.clone(), a.clone()], 12).is_ok(), "the order of the header does not matter");
    assert_error!(
        read(&[a.clone(), tensor("b", "F32", "[1]", 4, 8)], 8),
        E::Order { start: 4, expected: 8, .. },
        "overlap"
    );
    assert_error!(
        read(&[a.clone(), tensor("b", "F32", "[2]", 0, 8)], 8),
        E::Order { start: 0, expected: 8, .. },
        "the same place"
    );
    assert_error!(
        read(&[a.clone(), tensor("b", "F32", "[1]", 12, 16)], 16),
        E::Order { start: 12, expected: 8, .. },
        "a hole"
    );
    assert_error!(
        read(&[a.clone(), tensor("a", "F32", "[1]", 8, 12)], 12),
        E::DuplicateName { name, .. } if name == "a",
        "one name"
    );
    let text = "\"__metadata__\":{\"k\":\"v\"}".to_owned();
    assert!(read(&[text.clone(), a.clone()], 8).is_ok());
    assert_error!(read(&[text.clone(), text], 0), E::DuplicateName { .. }, "two metadata");
    let texts = "\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}".to_owned();
    assert_error!(read(&[texts], 0), E::DuplicateName { name, .. } if name == "k", "one key");
}

#[test]
fn batches_that_pytorch_counted_are_passed_over() {
    let count = tensor("bn.num_batches_tracked", "I64", "[]", 0, 8);
    let header = format!("{{{count},{}}}", tensor("b", "F32", "[1]", 8, 12));
    let mut bytes = with_header(&header, 12);
    let len = bytes.len();
    bytes[len - 4..].copy_from_slice(&1.5_f32.to_le_bytes());
    let contents = safetensors::read(&bytes, "x").unwrap();
    assert_eq!(contents.tensors.len(), 1);
    assert_eq!(contents.tensors[0].parts(), ("b", &[1][..], &[1.5][..]));
    let many = tensor("bn.num_batches_tracked", "I64", "[2]", 0, 16);
    let many = safetensors::read(&with_header(&format!("{{{many}}}"), 16), "x");
    assert_error!(many, E::Dtype { .. }, "not a single one");
}

#[test]
fn npy_headers_that_lie() {
    let read = |bytes: &[u8]| npy::read(bytes, "x").map(drop);
    let shaped = |shape: &str| read(&npy_with(&npy_header("'<f4'", shape), 8));
    assert!(shaped("(2,)").is_ok());
    assert_error!(shaped("(1,)"), E::TrailingBytes { .. }, "more");
    assert_error!(shaped("(3,)"), E::CutOff { expected: 12, actual: 8, .. }, "cut off");
    assert_error!(
        shaped("(1000, 1000, 1000)"),
        E::CutOff { expected: 4_000_000_000, actual: 8, .. },
        "4 GB"
    );
    for shape in
        ["(4294967296, 4294967296)", "(0, 18446744073709551615, 2)", "(4611686018427387904,)"]
    {
        assert_error!(shaped(shape), E::ShapeTooLarge { .. }, "{shape}");
    }
    for shape in ["(-2,)", "(2)", "2", "[2]", "(2.0,)", "(True,)", "(99999999999999999999,)", "(2,"]
    {
        assert_error!(shaped(shape), E::Header { .. }, "{shape}");
    }
    let shape = format!("({})", "1, ".repeat(9));
    assert_error!(shaped(&shape), E::Rank { rank: 9, .. }, "nine sizes");
    for (descr, dtype) in [("'<f8'", "<f8"), ("'>f4'", ">f4"), ("'<i4'", "<i4"), ("'|V4'", "|V4")] {
        let result = read(&npy_with(&npy_header(descr, "(2,)"), 8));
        assert_error!(result, E::Dtype { dtype: found, .. } if found == dtype, "{descr}");
    }
    for descr in ["'|O'", "'O'"] {
        let result = read(&npy_with(&npy_header(descr, "(2,)"), 8));
        assert_error!(result, E::Pickle { .. }, "{descr}");
    }
    // A header of 4 GB, of which there is nothing.
    let bytes = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'";
    assert_error!(read(bytes), E::HeaderTooLong { len: 0xffff_ffff, .. }, "4 GB of header");
    for version in [[0, 0], [1, 1], [4, 0], [255, 255]] {
        let bytes = [b"\x93NUMPY", &version[..], &[0; 20]].concat();
        assert_error!(read(&bytes), E::Version { .. }, "{version:?}");
    }
    assert_error!(read(b"\x92NUMPY\x01\x00\x00\x00"), E::Magic { .. }, "another first byte");
    assert_error!(read(b"hello"), E::Magic { .. }, "not npy");
    let code = "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': ()}";
    assert_error!(read(&npy_with(code, 4)), E::Header { .. }, "a program");
}

fn array() -> Vec<u8> {
    npy::to_bytes(TENSORS[0]).unwrap()
}

#[test]
fn names_in_an_archive_are_never_paths_out_of_it() {
    for name in [
        "../x.npy",
        "a/../../x.npy",
        "/etc/x.npy",
        "//x.npy",
        "..\\x.npy",
        "C:\\x.npy",
        "C:x.npy",
        "./x.npy",
        "a//x.npy",
        "a/",
        "a/.npy",
        ".npy",
        "x.txt",
        "x",
        "x\0.npy",
        "x\n.npy",
        "",
    ] {
        let bytes = archive(&[Entry::new(name, array())]);
        assert_error!(npz::read(&bytes, "x"), E::MemberName { .. }, "{name:?}");
    }
    for name in ["data.pkl", "archive/data.pkl", "x.pth"] {
        let bytes = archive(&[Entry::new(name, array())]);
        assert_error!(npz::read(&bytes, "x"), E::Pickle { .. }, "{name:?}");
        assert_error!(read_bytes(&bytes, "x"), E::Pickle { .. }, "{name:?}");
    }
    // What torch.save wrote before it wrote archives.
    assert_error!(
        read_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", "x"),
        E::Pickle { .. },
        "protocol 2"
    );
    let bytes = archive(&[Entry::new("a.npy", array()), Entry::new("a.npy", array())]);
    assert_error!(npz::read(&bytes, "x"), E::DuplicateName { name, .. } if name == "a", "twice");
    assert!(npz::read(&archive(&[Entry::new("layer.1/a.b.npy", array())]), "x").is_ok());
    assert_eq!(npz::read(&archive(&[]), "x").unwrap(), []);
}

#[test]
fn archives_whose_directory_lies() {
    let entry = || Entry::new("a.npy", array());
    let len = array().len() as u32;
    let read = |entries: &[Entry]| npz::read(&archive(entries), "x").map(drop);
    assert!(read(&[entry()]).is_ok() && read(&[entry().deflated()]).is_ok());
    let cases = [
        ("another name inside", Entry { local_name: Some("b.npy".into()), ..entry() }),
        ("a longer name inside", Entry { local_name: Some("aa.npy".into()), ..entry() }),
        ("no header there", Entry { offset: Some(1), ..entry() }),
        ("beyond the end", Entry { offset: Some(0x7fff_ffff), ..entry() }),
        ("stored, but larger", Entry { unpacked: Some(len + 1), ..entry() }),
        (
            "more than there is",
            Entry { packed: Some(len + 50), unpacked: Some(len + 50), ..entry() },
        ),
        ("deflated, but larger", Entry { unpacked: Some(len + 1), ..entry().deflated() }),
        ("deflated, but smaller", Entry { unpacked: Some(len - 1), ..entry().deflated() }),
    ];
    for (what, entry) in cases {
        assert_error!(read(&[entry]), E::Zip { .. }, "{what}");
    }
    let features = [
        ("zip64", Entry { packed: Some(u32::MAX), ..entry() }),
        ("zip64", Entry { offset: Some(u32::MAX), ..entry() }),
        ("encryption", Entry { flags: 1, ..entry() }),
        ("compression method 14", Entry { method: Some(14), ..entry() }),
    ];
    for (what, entry) in features {
        assert_error!(
            read(&[entry]),
            E::ZipFeature { what: found, .. } if found.contains(what),
            "{what}"
        );
    }
    let wrong = Entry { crc: Some(1), ..entry() };
    assert_error!(read(&[wrong]), E::Checksum { expected: 1, .. }, "another checksum");
    let short = Entry { packed: Some(20), ..entry().deflated() };
    assert_error!(read(&[short]), E::Unpack { .. } | E::CutOff { .. }, "cut off within");
    // Two members that share their bytes, as in an archive that unpacks without end.
    let shared = [entry(), Entry { name: "b.npy".into(), offset: Some(0), ..entry() }];
    assert_error!(read(&shared), E::Zip { .. }, "shared");
    let mut bytes = archive(&[entry()]);
    let end = bytes.len();
    bytes[end - 12] += 1;
    bytes[end - 14] += 1;
    assert_error!(npz::read(&bytes, "x"), E::Zip { .. }, "more entries than there are");
    assert_error!(npz::read(b"PK\x03\x04", "x"), E::Zip { .. }, "no directory");
    let mut bytes = archive(&[entry()]);
    bytes[end - 18] = 1;
    assert_error!(npz::read(&bytes, "x"), E::ZipFeature { .. }, "two volumes");
}

#[test]
fn arrays_in_an_archive_end_where_they_say() {
    let read =
        |data: Vec<u8>| npz::read(&archive(&[Entry::new("a.npy", data).deflated()]), "x").map(drop);
    let header = npy_header("'<f4'", "(2,)");
    assert!(read(npy_with(&header, 8)).is_ok());
    assert_error!(read(npy_with(&header, 9)), E::TrailingBytes { .. }, "a byte more");
    assert_error!(read(npy_with(&header, 7)), E::CutOff { .. }, "a byte less");
    // Far more than is announced: one byte of it is looked at.
    assert_error!(read(npy_with(&header, 100 << 20)), E::TrailingBytes { .. }, "a bomb");
    // As much as is announced, and more than a file of that size may become.
    let header = npy_header("'<f4'", "(25, 1048576)");
    let error = read(npy_with(&header, 100 << 20)).unwrap_err();
    assert!(error.to_string().contains("np.savez writes it unpacked"), "{error}");
    assert_error!(Err::<(), _>(error), E::TooLarge { bytes: 0x640_0000, .. }, "a larger bomb");
}
