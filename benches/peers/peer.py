"""What the scripts of the peers share: the layers, the operands, the check, the clock, the rows.

A script defines a class with three things and calls `main` with it:

    name                       in the column `algorithm`
    directions                 those that the library can compute
    prepare(layer, direction, data, threads) -> list of (chosen, call, result)

`call()` is what is timed; `result()` returns the arrays that the last call gave, in the order of
`expected`. Where there are several ways to call the library, the fastest one counts.
"""

import argparse
import csv
import gc
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

DIRECTIONS = ("forward", "backward_data", "backward_weights")

COLUMNS = (
    "name",
    "direction",
    "algorithm",
    "chosen",
    "threads",
    "median_ms",
    "gflops",
    "percent_of_peak",
    "rel_rms_error",
    "workspace_bytes",
)

# A warm allocator: with its default settings, glibc gives large buffers back to the system when
# they are freed, and pays for fresh pages on every call.
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "500000000",
}

# The clock is that of benches/src/timing.rs: calls to get warm, then calls each timed alone.
WARM_UP_SECONDS = 0.05
TIMED_SECONDS = 0.15
LEAST_CALLS = 5
ENOUGH_SECONDS = 3.0

# Elements of a result that are checked, and the error from which on they are wrong.
SAMPLES = 256
WRONG = 1e-4


class Unsupported(Exception):
    """The library cannot compute this layer; the message says why."""


class Layer(NamedTuple):
    """A row of the table of layers."""

    name: str
    n: int
    c: int
    h: int
    w: int
    oc: int
    kh: int
    kw: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    pad_bottom: int
    pad_right: int
    dil_h: int
    dil_w: int
    groups: int

    @property
    def out_h(self):
        return self._out(self.h + self.pad_top + self.pad_bottom, self.kh, self.dil_h, self.stride_h)

    @property
    def out_w(self):
        return self._out(self.w + self.pad_left + self.pad_right, self.kw, self.dil_w, self.stride_w)

    @staticmethod
    def _out(padded, kernel, dilation, stride):
        return (padded - dilation * (kernel - 1) - 1) // stride + 1

    @property
    def operations(self):
        """Of the formula, two for each multiply-add."""
        patch = self.c // self.groups * self.kh * self.kw
        return 2 * self.n * self.oc * self.out_h * self.out_w * patch

    @property
    def x_shape(self):
        return (self.n, self.c, self.h, self.w)

    @property
    def w_shape(self):
        return (self.oc, self.c // self.groups, self.kh, self.kw)

    @property
    def y_shape(self):
        return (self.n, self.oc, self.out_h, self.out_w)

    @property
    def is_symmetric(self):
        """Whether opposite sides are padded alike."""
        return self.pad_top == self.pad_bottom and self.pad_left == self.pad_right


class Data(NamedTuple):
    """The operands, in f32. A direction uses some of them."""

    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray
    dy: np.ndarray


def read_layers(path):
    """The table of layers, by name."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = (line for line in file if line.strip() and not line.startswith("#"))
        layers = {}
        for row in csv.DictReader(lines):
            numbers = [int(row[column]) for column in Layer._fields[1:]]
            layers[row["name"]] = Layer(row["name"], *numbers)
        return layers


def draw(layer):
    """Normal numbers; the weights such that outputs are about as large as inputs."""
    rng = np.random.default_rng(1)

    def normal(shape):
        return rng.standard_normal(shape, dtype=np.float32)

    w = normal(layer.w_shape) / np.float32(np.prod(layer.w_shape[1:]) ** 0.5)
    return Data(normal(layer.x_shape), w, normal((layer.oc,)), normal(layer.y_shape))


def expected(layer, direction, data):
    """Some elements of each result by the formula, in f64: a list of (indices, values), where
    the indices are those of the flattened array."""
    shape = {
        "forward": layer.y_shape,
        "backward_data": layer.x_shape,
        "backward_weights": layer.w_shape,
    }[direction]
    size = int(np.prod(shape))
    chosen = np.random.default_rng(2).integers(0, size, SAMPLES)
    # The corners as well: that is where padding goes wrong.
    chosen = np.unique(np.concatenate([chosen, [0, shape[3] - 1, size - shape[3], size - 1]]))
    element = {"forward": _y, "backward_data": _dx, "backward_weights": _dw}[direction]
    sides = ((layer.pad_top, layer.pad_bottom), (layer.pad_left, layer.pad_right))
    x = np.pad(data.x, ((0, 0), (0, 0), *sides)) if direction != "backward_data" else None
    places = [np.unravel_index(index, shape) for index in chosen]
    results = [(chosen, np.array([element(layer, x, data, *place) for place in places]))]
    if direction == "backward_weights":
        results.append((np.arange(layer.oc), data.dy.sum(axis=(0, 2, 3), dtype=np.float64)))
    return results


def _y(layer, x, data, n, o, row, col):
    channels = layer.c // layer.groups
    first = o // (layer.oc // layer.groups) * channels
    top, left = row * layer.stride_h, col * layer.stride_w
    patch = x[
        n,
        first : first + channels,
        top : top + layer.dil_h * (layer.kh - 1) + 1 : layer.dil_h,
        left : left + layer.dil_w * (layer.kw - 1) + 1 : layer.dil_w,
    ]
    return np.sum(patch.astype(np.float64) * data.w[o]) + data.bias[o]


def _dx(layer, _, data, n, c, row, col):
    channels, filters = layer.c // layer.groups, layer.oc // layer.groups
    first = c // channels * filters
    total = 0.0
    for i in range(layer.kh):
        out_row, off = divmod(row + layer.pad_top - i * layer.dil_h, layer.stride_h)
        if off or not 0 <= out_row < layer.out_h:
            continue
        for j in range(layer.kw):
            out_col, off = divmod(col + layer.pad_left - j * layer.dil_w, layer.stride_w)
            if off or not 0 <= out_col < layer.out_w:
                continue
            dy = data.dy[n, first : first + filters, out_row, out_col].astype(np.float64)
            total += dy @ data.w[first : first + filters, c % channels, i, j]
    return total


def _dw(layer, x, data, o, c, i, j):
    channels = layer.c // layer.groups
    channel = o // (layer.oc // layer.groups) * channels + c
    top, left = i * layer.dil_h, j * layer.dil_w
    seen = x[
        :,
        channel,
        top : top + (layer.out_h - 1) * layer.stride_h + 1 : layer.stride_h,
        left : left + (layer.out_w - 1) * layer.stride_w + 1 : layer.stride_w,
    ]
    return np.sum(seen.astype(np.float64) * data.dy[:, o])


def error_of(results, references):
    """The largest relative RMS error of the arrays, over the elements that are known."""
    errors = []
    for result, (indices, values) in zip(results, references, strict=True):
        found = np.asarray(result).reshape(-1)[indices].astype(np.float64)
        norm = np.sqrt(np.sum(values**2))
        errors.append(np.sqrt(np.sum((found - values) ** 2)) / (norm if norm > 0 else 1.0))
    return max(errors, key=lambda error: float("inf") if np.isnan(error) else error)


def seconds_per_call(call):
    """One run: the median of the calls."""
    start = time.perf_counter()
    while time.perf_counter() - start < WARM_UP_SECONDS:
        call()
    times = []
    start = time.perf_counter()
    while True:
        before = time.perf_counter()
        call()
        now = time.perf_counter()
        times.append(now - before)
        so_far = now - start
        if so_far >= ENOUGH_SECONDS or (so_far >= TIMED_SECONDS and len(times) >= LEAST_CALLS):
            return statistics.median(times)


class Timer:
    """Keeps what was prepared for a layer until another one is asked for."""

    def __init__(self, peer, options):
        self.peer = peer
        self.options = options
        self.kept = None

    def row(self, layer, direction):
        """The fields of one row. Where there are no numbers, `chosen` says why."""
        start = [layer.name, direction, self.peer.name]
        try:
            ways = self._prepared(layer, direction)
        except Unsupported as reason:
            return [*start, f"none: {reason}", self.options.threads, "", "", "", "", ""]
        medians = []
        for chosen, call, error in ways:
            runs = [seconds_per_call(call) for _ in range(self.options.runs)]
            medians.append((statistics.median(runs), chosen, error))
        seconds, chosen, error = min(medians)
        gflops = layer.operations / seconds / 1e9
        percent = f"{100 * gflops / self.options.peak:.1f}" if self.options.peak else ""
        numbers = [f"{seconds * 1e3:.4f}", f"{gflops:.2f}", percent, f"{error:.2e}", ""]
        return [*start, chosen, self.options.threads, *numbers]

    def _prepared(self, layer, direction):
        key = (layer, direction)
        if self.kept is None or self.kept[0] != key:
            # The old operands go before the new ones come.
            self.kept = None
            gc.collect()
            self.kept = (key, self._prepare(layer, direction))
        return self.kept[1]

    def _prepare(self, layer, direction):
        if direction not in self.peer.directions:
            raise Unsupported(f"{self.peer.name} computes {', '.join(self.peer.directions)} alone")
        data = draw(layer)
        references = expected(layer, direction, data)
        ways = []
        for chosen, call, result in self.peer.prepare(layer, direction, data, self.options.threads):
            call()
            error = error_of(result(), references)
            if not error <= WRONG:
                raise SystemExit(f"{self.peer.name}: {layer.name}: {chosen} is wrong: {error:.1e}")
            ways.append((chosen, call, error))
        return ways


def warm_allocator():
    """Starts the program anew with a warm allocator, unless it has one."""
    if any(os.environ.get(key) != value for key, value in ALLOCATOR.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a number above zero")
    return number


def table(path, columns):
    """What writes rows of CSV to a file, or to standard output if there is no path, each as soon as
    it is there; the names of the columns are written already."""
    out = open(path, "w", newline="", encoding="utf-8") if path else sys.stdout
    writer = csv.writer(out, lineterminator="\n")

    def write(row):
        writer.writerow(row)
        out.flush()

    write(columns)
    return write


def main(peer, description):
    """The command line of a script. `peer` is a class; it is made after the options are read."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    default = Path(__file__).resolve().parent.parent / "layers.csv"
    add("--layers", metavar="FILE", default=default, help="the layers [default: the 21]")
    add("--direction", choices=[*DIRECTIONS, "all"], default="forward")
    add("--threads", type=positive, default=os.cpu_count(), help="[default: %(default)s]")
    add("--only", metavar="NAME", default="", help="these layers alone, separated by commas")
    add("--batch", metavar="N", type=positive, help="images of each batch")
    add("--runs", metavar="N", type=positive, default=3, help="runs of each row [default: 3]")
    add("--peak", metavar="GFLOPS", type=float, help="FMA peak, for percent_of_peak")
    add("--csv", metavar="OUT", help="write the rows there [default: standard output]")
    serve = "read names of layers from standard input, a line each, and answer each with its row"
    add("--serve", action="store_true", help=serve)
    options = parser.parse_args()
    layers = read_layers(options.layers)
    only = [name for name in options.only.split(",") if name]
    for name in only:
        if name not in layers:
            parser.error(f"no layer is called {name}; they are {', '.join(layers)}")
    if options.batch:
        layers = {name: layer._replace(n=options.batch) for name, layer in layers.items()}
    directions = DIRECTIONS if options.direction == "all" else (options.direction,)
    if options.serve and len(directions) != 1:
        parser.error("--serve needs one direction")
    warm_allocator()
    timer = Timer(peer(options.threads), options)
    # Garbage is collected between layers, not in the midst of a call.
    gc.disable()
    write = table(options.csv, COLUMNS)
    if options.serve:
        for line in sys.stdin:
            name = line.strip()
            if name not in layers:
                raise SystemExit(f"no layer is called {name}")
            write(timer.row(layers[name], directions[0]))
    else:
        for layer in layers.values():
            if not only or layer.name in only:
                for direction in directions:
                    write(timer.row(layer, direction))
