//! No read takes more than twice the size of the file and 64 MiB, whatever its header says.
//!
//! What is counted is all that is allocated while a file is read, given back or not: the most that
//! is held at a time is less.

mod common;

use std::alloc::System;
use std::fs;

use common::{Entry, archive, npy_header, npy_with, with_header};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weights::{WeightsError, npy, npz, safetensors};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a call allocates in bytes, beside its result.
fn allocated<R>(call: impl FnOnce() -> R) -> (usize, R) {
    let region = Region::new(GLOBAL);
    let result = call();
    let change = region.change();
    (change.bytes_allocated + change.bytes_reallocated.unsigned_abs(), result)
}

const MIB: usize = 1 << 20;

fn bounded<T>(
    what: &str,
    file: usize,
    call: impl FnOnce() -> Result<T, WeightsError>,
) -> Result<T, WeightsError> {
    let (bytes, result) = allocated(call);
    println!("{what}: {bytes} bytes for a file of {file}");
    assert!(bytes <= 2 * file + 64 * MIB, "{what}: {bytes} bytes for a file of {file}");
    result
}

/// One test: another thread's memory would be counted too.
#[test]
fn reads_take_twice_the_file_and_64_mib_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");

    // Large files of each format: what they take is close to what they hold.
    let values = vec![0.5_f32; 8 * MIB];
    let tensor = ("a", &[8, MIB][..], &values[..]);
    safetensors::save(&path, [tensor], []).unwrap();
    let file = 32 * MIB;
    let (bytes, read) = allocated(|| weights::read(&path).unwrap());
    assert_eq!(read.tensors[0].values.len(), values.len());
    assert!(bytes < file + MIB, "safetensors: {bytes}");
    let whole = fs::read(&path).unwrap();
    let (bytes, _) = allocated(|| safetensors::read(&whole, "x").unwrap());
    assert!(bytes < file + MIB, "safetensors: {bytes}");
    npz::save(&path, [tensor]).unwrap();
    let (bytes, _) = allocated(|| weights::read(&path).unwrap());
    assert!(bytes < file + MIB, "npz: {bytes}");
    npy::save(&path, tensor).unwrap();
    let (bytes, _) = allocated(|| weights::read(&path).unwrap());
    assert!(bytes < file + MIB, "npy: {bytes}");
    drop((whole, values));

    // 16-bit floats become twice as large.
    let header = r#"{"a":{"dtype":"BF16","shape":[20000000],"data_offsets":[0,40000000]}}"#;
    let half = with_header(header, 40_000_000);
    let (bytes, _) = allocated(|| safetensors::read(&half, "x").unwrap());
    assert!(bytes < 2 * half.len() + MIB, "bf16: {bytes}");
    // Fortran's order is put right in place.
    let header = "{'descr': '<f2', 'fortran_order': True, 'shape': (5000, 4000), }";
    let half = npy_with(header, 40_000_000);
    let (bytes, _) = allocated(|| npy::read(&half, "x").unwrap());
    assert!(bytes < 2 * half.len() + MIB, "fortran: {bytes}");
    drop(half);

    // Headers as long as they may be, of as much as fits.
    let tensors =
        (0..40_000).map(|i| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#));
    let header = tensors.collect::<Vec<_>>().join(",");
    let header = format!("{{{}}}", &header[..header[..2 * MIB - 2].rfind(",\"").unwrap()]);
    let many = with_header(&header, 0);
    let read = bounded("many tensors", many.len(), || safetensors::read(&many, "x")).unwrap();
    assert!(read.tensors.len() > 30_000);
    let sizes = format!(
        r#"{{"a":{{"dtype":"F32","shape":[{}1],"data_offsets":[0,4]}}}}"#,
        "1,".repeat(MIB - 100)
    );
    let long = with_header(&sizes, 4);
    let error = bounded("many sizes", long.len(), || safetensors::read(&long, "x")).unwrap_err();
    assert!(matches!(error, WeightsError::Rank { .. }), "{error}");
    let texts: Vec<String> = (0..200_000).map(|i| format!(r#""{i}":"""#)).collect();
    let texts =
        with_header(&format!("{{\"__metadata__\":{{{}}}}}", &texts[..150_000].join(",")), 0);
    bounded("many texts", texts.len(), || safetensors::read(&texts, "x")).unwrap();
    let entries: Vec<Entry> =
        (0..65_534).map(|i| Entry::new(&format!("{i}.npy"), Vec::new())).collect();
    let empty = archive(&entries);
    bounded("many members", empty.len(), || npz::read(&empty, "x")).unwrap_err();

    // Headers that announce what is not there.
    let claims = [
        with_header(
            r#"{"a":{"dtype":"F32","shape":[400000000],"data_offsets":[0,4000000000]}}"#,
            64,
        ),
        [&(2_u64 << 20).to_le_bytes()[..], b"{}"].concat(),
        [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
        npy_with(&npy_header("'<f4'", "(400000000,)"), 64),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec(),
        archive(&[Entry::new("a.npy", npy_with(&npy_header("'<f4'", "(400000000,)"), 64))]),
        archive(
            &[Entry::new("a.npy", npy_with(&npy_header("'<f4'", "(8000000,)"), 64)).deflated()],
        ),
    ];
    for (i, claim) in claims.iter().enumerate() {
        let (bytes, result) = allocated(|| weights::read_bytes(claim, "x"));
        assert!(result.is_err() && bytes < MIB, "claim {i}: {bytes} bytes, {result:?}");
    }
    // What is announced and there, but packed a thousand times smaller.
    let bomb = npy_with(&npy_header("'<f4'", "(25, 1048576)"), 100 * MIB);
    let bomb = archive(&[Entry::new("a.npy", bomb).deflated()]);
    assert!(bomb.len() < MIB);
    let (bytes, result) = allocated(|| weights::read_bytes(&bomb, "x"));
    assert!(matches!(result, Err(WeightsError::TooLarge { .. })) && bytes < MIB, "{bytes}");
    let most = npy_with(&npy_header("'<f4'", "(8, 1048576)"), 32 * MIB);
    let most = archive(&[Entry::new("a.npy", most).deflated()]);
    bounded("deflated", most.len(), || npz::read(&most, "x")).unwrap();
}
