"""Makes the pictures and the small CIFAR-10 of this folder, and what Pillow reads from them.

    pip install -r requirements.txt
    python make_images.py

Each NAME.png or NAME.jpg has a NAME.rgb beside it: its pixels as Pillow decodes them, (C, H, W).
fit-*.rgb are wide.png and tall.png cut to their centre and resized by Pillow's bilinear filter.
"""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
H, W = 18, 26


def planes(image):
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1).tobytes()


def save(name, image, **options):
    path = HERE / name
    image.save(path, **options)
    opened = ImageOps.exif_transpose(Image.open(path))
    if opened.mode.startswith("I"):  # 16 bits: Pillow would clip them
        wide = np.asarray(opened).astype(np.uint32)
        opened = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    path.with_suffix(".rgb").write_bytes(planes(opened))


def fit(name, source, height, width, resize=None):
    image = Image.open(HERE / source).convert("RGB")
    if resize is None:
        scale = min(image.height / height, image.width / width)
    else:
        scale = min(image.height, image.width) / resize
    rows, cols = round(height * scale), round(width * scale)
    left, top = (image.width - cols) // 2, (image.height - rows) // 2
    box = (left, top, left + cols, top + rows)
    small = image.crop(box).resize((width, height), Image.Resampling.BILINEAR)
    (HERE / name).write_bytes(planes(small))


def pictures():
    y, x = np.mgrid[0:H, 0:W]
    red = 128 + 100 * np.sin(x / 4.0) * np.cos(y / 5.0)
    green = 9.0 * x
    blue = 250 - 12.0 * y
    rgb = np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)
    alpha = np.where((x + y) % 3 == 0, 0, 255).astype(np.uint8)[..., None]
    save("rgb.png", Image.fromarray(rgb))
    save("rgba.png", Image.fromarray(np.concatenate([rgb, alpha], axis=-1)))
    save("grey.png", Image.fromarray(rgb[..., 0]))
    save("grey16.png", Image.fromarray((red * 250).astype(np.uint16)))
    save("bits.png", Image.fromarray(rgb[..., 0] > 128))
    save("palette.png", Image.fromarray(rgb).quantize(16))
    save("colour.jpg", Image.fromarray(rgb), quality=92)
    save("luma.jpg", Image.fromarray(rgb[..., 0]), quality=92)
    save("progressive.jpg", Image.fromarray(rgb), quality=92, progressive=True, subsampling=0)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees clockwise
    save("turned.jpg", Image.fromarray(rgb), quality=92, subsampling=0, exif=turned)
    save("wide.png", Image.fromarray(rgb).resize((61, 20), Image.Resampling.BICUBIC))
    save("tall.png", Image.fromarray(rgb).resize((15, 33), Image.Resampling.BICUBIC))
    fit("fit-wide-8x8.rgb", "wide.png", 8, 8)
    fit("fit-wide-30x40.rgb", "wide.png", 30, 40)
    fit("fit-tall-6x9.rgb", "tall.png", 6, 9)
    fit("fit-tall-8x8-of-10.rgb", "tall.png", 8, 8, resize=10)


def cifar():
    """Six files of two records each; record i has label i % 10."""
    c, y, x = np.mgrid[0:3, 0:32, 0:32]
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    files = {}
    for file, name in enumerate(names):
        data = b""
        for i in (2 * file, 2 * file + 1):
            pixels = (17 * i + 85 * c + 3 * y + x) % 256
            data += bytes([i % 10]) + pixels.astype(np.uint8).tobytes()
        files[name] = data
    # As in the published archive: a folder, other files, and another order.
    order = [names[0], "batches.meta.txt", *names[2:4], names[5], "readme.html", names[4], names[1]]
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name in order:
            data = files.get(name, b"not for reading\n")
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    packed = gzip.compress(unpacked.getvalue(), mtime=0)
    (HERE / "cifar-10-binary.tar.gz").write_bytes(packed)


pictures()
cifar()
