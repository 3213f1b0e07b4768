"""Makes the files of this folder with PyTorch: networks in torchvision's layout, and what they answer.

    python -m pip install -r ../requirements.txt
    python make_torchvision.py [FOLDER] [--full]

The networks are written here as torchvision's `models/alexnet.py` and `models/vgg.py` have them, module by
module, so that their state dicts have torchvision's names; torchvision itself is not needed.

`small.safetensors` is the state dict of an AlexNet with few filters, as anybody would save it, and `small.npz`
and `small-compressed.npz` are the same by NumPy; one array of them is in Fortran's order.
`answers.safetensors` holds the logits of each network for two images, in evaluation mode, in float32:
`small`, `alexnet` (its usual 61 million weights) and `vgg11` (with 64 hidden units and 10 classes).

Weights and images are not drawn but computed, so that a test can make them anew without a large file. Number
`i` of tensor `t` (weights are counted in the order of the state dict, images are tensor 100) is

    z = ((t << 40) + i + 1) * 0x9E3779B97F4A7C15              modulo 2^64, as all that follows
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z = z ^ (z >> 31)
    value = ((z >> 40) - 2^23) / 2^23 * bound

(Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014), from -bound to bound:
sqrt(6 / inputs) as float32 for the weights of a layer with so many inputs, 0.1 for biases, 1 for images.

With --full the whole state dict of `alexnet` is written too (alexnet.safetensors, 244 MB).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False


class AlexNet(nn.Module):
    def __init__(self, filters=(64, 192, 384, 256, 256), hidden=4096, classes=1000):
        super().__init__()
        a, b, c, d, e = filters
        self.features = nn.Sequential(
            nn.Conv2d(3, a, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(a, b, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(b, c, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, d, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(d, e, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(e * 6 * 6, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Vgg(nn.Module):
    def __init__(self, layers, hidden=4096, classes=1000):
        super().__init__()
        modules, channels = [], 3
        for layer in layers:
            if layer == "M":
                modules.append(nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                modules += [nn.Conv2d(channels, layer, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                channels = layer
        self.features = nn.Sequential(*modules)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


VGG11 = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


def numbers(tensor, shape, bound):
    """Tensor number `tensor` of the given shape."""
    count = int(np.prod(shape))
    z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(tensor << 40)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    values = ((z >> np.uint64(40)).astype(np.float32) - np.float32(2**23)) / np.float32(2**23)
    return (values * np.float32(bound)).reshape(shape)


def filled(net):
    """The network with computed weights, in evaluation mode."""
    with torch.no_grad():
        for tensor, weights in enumerate(net.state_dict().values()):
            shape = tuple(weights.shape)
            bound = np.sqrt(6 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
            weights.copy_(torch.from_numpy(numbers(tensor, shape, bound)))
    return net.eval()


def main():
    full = "--full" in sys.argv
    folders = [argument for argument in sys.argv[1:] if argument != "--full"]
    folder = Path(folders[0]) if folders else Path(__file__).parent
    small = filled(AlexNet((4, 6, 8, 6, 5), hidden=16, classes=10))
    nets = {"small": small, "alexnet": filled(AlexNet()), "vgg11": filled(Vgg(VGG11, 64, 10))}
    images = torch.from_numpy(numbers(100, (2, 3, 224, 224), 1.0))
    with torch.no_grad():
        answers = {name: net(images) for name, net in nets.items()}
    (folder / "small.safetensors").write_bytes(save(small.state_dict()))
    (folder / "answers.safetensors").write_bytes(save(answers))
    arrays = {name: tensor.numpy() for name, tensor in small.state_dict().items()}
    arrays["features.3.weight"] = np.asfortranarray(arrays["features.3.weight"])
    np.savez(folder / "small.npz", **arrays)
    np.savez_compressed(folder / "small-compressed.npz", **arrays)
    if full:
        (folder / "alexnet.safetensors").write_bytes(save(nets["alexnet"].state_dict()))


if __name__ == "__main__":
    main()
