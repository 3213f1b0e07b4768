"""Makes the files of this folder with PyTorch: a small network's weights, and what it answers.

    python -m pip install -r ../requirements.txt
    python make_state_dict.py [FOLDER]

`model.safetensors` is the state dict of the network below, as anybody would save it; `answer.safetensors`
holds three images `x` and the network's output `y` for them, in evaluation mode. All in float32.
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(4 * 6 * 6, 12),
            nn.ReLU(),
            nn.Linear(12, 5),
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.manual_seed(1)
    net = Net()
    # A few batches move the running statistics away from where they begin.
    for _ in range(5):
        net(2 * torch.rand(8, 1, 12, 12))
    net.eval()
    x = torch.rand(3, 1, 12, 12)
    with torch.no_grad():
        answer = OrderedDict(x=x, y=net(x))
    (folder / "model.safetensors").write_bytes(save(net.state_dict()))
    (folder / "answer.safetensors").write_bytes(save(answer))


if __name__ == "__main__":
    main()
