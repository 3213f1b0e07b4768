"""Writes the seeds under corpus/: small, well-formed inputs of every target, the same in every run.

    python fuzz/seeds.py
"""

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TESTDATA = Path(__file__).parent.parent / "testdata"
PICTURES = TESTDATA / "images"


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
    write("image_predict", picture.name, picture.read_bytes())

for array in sorted((TESTDATA / "numpy").glob("*.np[yz]")):
    write("npy_npz", array.name, array.read_bytes())


# As `safetensors::to_bytes` writes them: names and texts in order, the header filled up with spaces.
def safetensors(tensors, texts=None, dtype="F32"):
    header, data = {}, b""
    if texts:
        header["__metadata__"] = texts
    for name, dims in sorted(tensors.items()):
        count = 1
        for dim in dims:
            count *= dim
        kind, packed = ("I64", struct.pack("<q", 7)) if name.endswith("tracked") else (dtype, None)
        if packed is None:
            values = [(i * 7 % 23 - 11) / 16 for i in range(count)]
            # What roots are taken of.
            if "running_var" in name or "moment2" in name:
                values = [abs(value) for value in values]
            singles = [struct.pack("<f", value) for value in values]
            halves = {"F32": b"".join(singles), "BF16": b"".join(s[2:] for s in singles)}
            packed = struct.pack(f"<{count}e", *values) if dtype == "F16" else halves[dtype]
        header[name] = {"dtype": kind, "shape": dims, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


# The parameters of `small` in weight_files.rs.
trained = {
    "conv1.weight": [2, 1, 3, 3],
    "conv1.bias": [2],
    "bn1.weight": [2],
    "bn1.bias": [2],
    "affine1.weight": [3, 8],
    "affine1.bias": [3],
    "affine2.weight": [2, 3],
    "affine2.bias": [2],
}
all_of_it = trained | {"bn1.running_mean": [2], "bn1.running_var": [2]}
for name, dtype in [("network", "F32"), ("network_f16", "F16"), ("network_bf16", "BF16")]:
    write("safetensors_load", name, safetensors(all_of_it, dtype=dtype))
tracked = all_of_it | {"bn1.num_batches_tracked": []}
write("safetensors_load", "tracked", safetensors(tracked, {"model": "small", "format": "pt"}))
write("safetensors_load", "one_missing", safetensors(trained))
state = {f"{kind}/{name}": dims for kind in ["weights", "average"] for name, dims in all_of_it.items()}
state |= {f"{kind}/{name}": dims for kind in ["moment1", "moment2"] for name, dims in trained.items()}
mark = {"epochs": 1, "step": 3, "step_in_epoch": 1, "loss_sum": 0.5, "correct": 1, "images": 2}
mark |= {"line": {"loss": 1.0, "correct": 1, "images": 2}, "seconds": 1.5}
best = {"epoch": 1, "correct": 3, "images": 4, "loss": None}
texts = {"state": json.dumps(mark | {"best": best}), "settings": "epochs = 3\n"}
write("safetensors_load", "state", safetensors(state, texts))
# It has counted more images than there are numbers for.
texts = {"state": json.dumps(mark | {"images": 2**64 - 1, "best": None})}
write("safetensors_load", "state_miscounted", safetensors(state, texts))
write("safetensors_load", "mark", safetensors({"weights/a": [1]}, {"state": json.dumps(mark | {"best": None})}))
theirs = {"features.0.weight": [2, 1, 3, 3], "features.0.bias": [2]}
theirs |= {"classifier.0.weight": [3, 8], "classifier.0.bias": [3], "classifier.3.weight": [2, 3]}
write("safetensors_load", "torchvision", safetensors(theirs))
write("safetensors_load", "empty", safetensors({}))

write(
    "config_toml",
    "all.toml",
    b"""model = "lenet5"
data = "/data/pictures"
normalize = true
image-size = "32x24"
resize = 40
grey = true
augment = 'flip,shift=2,crop=3,border=reflect,fill=12'
epochs = 3
batch-size = 50
optimizer = "adamw"
lr = 1.5e-3
weight-decay = 1e-4
schedule = "step"
step-epochs = 2
step-factor = 0.5
warmup = "2epochs"
average = 0.99
early-stop = 4
seed = "18446744073709551615"
threads = 2
out = "runs/x"
limit = 1_000
json = false
quiet = true
""",
)
write("config_toml", "few.toml", b"# one\nmodel = 'simple-convnet'\nwarmup = 0x1F\nlr = inf\nschedule = 'cosine'\n")
write("config_toml", "misspelt.toml", b'"bacth-size" = """\n5\\u0030"""\n')
write("config_toml", "nested.toml", b"[x]\na = [1, { b = 1979-05-27T07:32:00Z }]\n[[y.z]]\n")
run = {"model": "lenet5", "data": "mnist", "input": [1, 28, 28], "classes": 10, "class_names": ["a", "\u00e9"]}
run |= {"resize": None, "normalize": True, "mean": [0.5], "std": [1e-3], "date": "2026-01-01"}
write("config_toml", "run.json", json.dumps(run).encode())
write("config_toml", "least.json", b'{"model":"vgg11","data":"x","input":[3,32,32],"classes":2}')

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
