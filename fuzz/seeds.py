"""Writes the seeds under corpus/: small, well-formed inputs of every target, the same in every run.

    python fuzz/seeds.py
"""

import gzip
import io
import struct
import tarfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
PICTURES = Path(__file__).parent.parent / "testdata" / "images"


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def zipped(data):
    return gzip.compress(data, mtime=0)


images = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 2) + bytes(range(0, 120, 10))
labels = bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + bytes([0, 9, 3, 1, 7])
for name, data in [("images", images), ("labels", labels)]:
    write("idx_gz", name, data)
    write("idx_gz", name + ".gz", zipped(data))
write("idx_gz", "two_members.gz", zipped(images[:9]) + zipped(images[9:]))

record = bytes([4]) + bytes(i // 64 % 256 for i in range(3072))
write("cifar10", "batch", record)
write("cifar10", "two_records", record + bytes([9]) + bytes(3072))
stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
        entry.size = len(record)
        archive.addfile(entry, io.BytesIO(record))
write("cifar10", "archive.tar.gz", zipped(stream.getvalue()))

for picture in sorted(PICTURES.glob("*.png")) + sorted(PICTURES.glob("*.jpg")):
    write("image", picture.name, picture.read_bytes())

# n - 1, groups - 1, channels and output channels of a group, height, width, kernel - 1, stride - 1,
# dilation - 1, padding (top, left, bottom, right), seed: see `describe` in differential.rs.
for name, numbers in {
    "plain_3x3": [1, 0, 3, 5, 8, 9, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 7],
    "stride_2": [2, 0, 3, 17, 9, 11, 2, 2, 1, 1, 0, 0, 1, 1, 1, 1, 8],
    "depthwise": [0, 3, 1, 1, 7, 20, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 9],
    "dilated": [0, 1, 2, 2, 9, 9, 2, 1, 0, 1, 1, 1, 2, 0, 1, 3, 10],
    "one_tap": [1, 0, 20, 17, 5, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11],
    "five": [0, 0, 1, 30, 12, 13, 4, 4, 0, 0, 0, 0, 2, 2, 2, 2, 12],
    "no_channels": [1, 0, 0, 3, 4, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 13],
    "too_large_a_kernel": [1, 0, 1, 3, 2, 2, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 14],
}.items():
    write("differential", name, bytes(numbers))
