"""Makes the files of this folder with NumPy: arrays as npy and npz, to be read or refused.

    python -m pip install -r ../images/requirements.txt
    python make_numpy.py

Those that can be read hold 0.5, 1.5, 2.5, … in C order, `c.npy` 3 x 4 of them. The others have a type that is
refused: float64, big-endian, integers, bytes, records, objects.
"""

from pathlib import Path

import numpy as np
from numpy.lib import format

HERE = Path(__file__).parent


def counted(*shape, dtype=np.float32):
    return (np.arange(np.prod(shape, dtype=int)) + 0.5).reshape(shape).astype(dtype)


def save(name, array, version=None):
    with open(HERE / f"{name}.npy", "wb") as file:
        format.write_array(file, array, version)


save("c", counted(3, 4))
save("fortran", np.asfortranarray(counted(2, 3, 2, 2)))
save("half", counted(5, dtype=np.float16))
save("scalar", counted())
save("vector", counted(3))
save("empty", counted(0, 3))
save("version2", counted(3, 4), (2, 0))
save("version3", counted(3, 4), (3, 0))
save("refused_f8", counted(3, dtype=np.float64))
save("refused_big_endian", counted(3).astype(">f4"))
save("refused_i4", np.arange(3, dtype=np.int32))
save("refused_u1", np.arange(3, dtype=np.uint8))
save("refused_records", np.zeros(2, dtype=[("x", "<f4"), ("y", "<f4")]))
save("refused_objects", np.array([{"a": 1}, None], dtype=object))
arrays = {"conv1.weight": counted(2, 1, 2, 2), "conv1.bias": np.asfortranarray(counted(2, 3)), "n/x": counted(3)}
np.savez(HERE / "stored.npz", **arrays)
np.savez_compressed(HERE / "deflated.npz", **arrays)
np.savez(HERE / "refused_objects.npz", x=np.array([None], dtype=object))
