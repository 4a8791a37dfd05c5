"""The network of the nose finder as torch trains it: EfficientNet-Lite0's first eleven blocks and a small neck.

`models.onnx_build` draws the same network, batch norms folded in, from the tensors that `tensors` returns.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models import onnx_build

FROZEN_BLOCKS = 3  # the stem and these blocks keep ImageNet's weights: edges and textures need no training
QUARTER_BLOCK, EIGHTH_BLOCK, SIXTEENTH_BLOCK = onnx_build.NOSE_BLOCKS  # counted from 0: strides 4, 8 and 16
CENTRES, BOX, POSES = 3, 4, 3  # dog, cat, other animal; offset x, y, log width, log height; frontal, three-quarter, ...
FINE = 3  # rhinarium, left nostril, right nostril


class NoseNetwork(nn.Module):
    """Gives, for pictures float32 (n, 3, h, w) with h and w multiples of 16, what `vision.nose.network` runs."""

    def __init__(self) -> None:
        super().__init__()
        self.hasty = False  # True while training
        self.trunk = onnx_build.lite0()
        self.from_sixteenth = nn.Conv2d(112, 64, 1)
        self.from_eighth = nn.Conv2d(40, 64, 1)
        self.eighth = nn.Conv2d(64, 64, 3, padding=1)
        self.coarse = nn.Conv2d(64, 64, 3, padding=1)
        self.coarse_out = nn.Conv2d(64, CENTRES + BOX + POSES, 1)
        self.down = nn.Conv2d(64, 32, 1)
        self.from_quarter = nn.Conv2d(24, 32, 1)
        self.fine = nn.Conv2d(32, 32, 3, padding=1)
        self.fine_out = nn.Conv2d(32, FINE, 1)
        assert self.coarse_out.bias is not None
        assert self.fine_out.bias is not None
        nn.init.constant_(self.coarse_out.bias[:CENTRES], -4.0)  # a nose is rare: start from "nothing here"
        nn.init.constant_(self.fine_out.bias, -3.0)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return coarse (n, 10, h / 8, w / 8) and fine (n, 3, h / 4, w / 4), both as logits or plain numbers."""
        taps = {}
        # Half precision where nothing is trained: half of the time, and no more noise than a view has anyway.
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.hasty):
            value = nn.functional.relu6(self.trunk._bn0(self.trunk._conv_stem(pixels)))
            for index, block in enumerate(self.trunk._blocks[:FROZEN_BLOCKS]):
                taps[index] = value = block(value)
        taps[QUARTER_BLOCK] = value = value.float()
        for index, block in enumerate(self.trunk._blocks[FROZEN_BLOCKS : SIXTEENTH_BLOCK + 1], FROZEN_BLOCKS):
            taps[index] = value = block(value)
        grown = nn.functional.interpolate(self.from_sixteenth(taps[SIXTEENTH_BLOCK]), scale_factor=2, mode="nearest")
        eighth = torch.relu(self.eighth(torch.relu(grown + self.from_eighth(taps[EIGHTH_BLOCK]))))
        coarse = self.coarse_out(torch.relu(self.coarse(eighth)))
        grown = nn.functional.interpolate(self.down(eighth), scale_factor=2, mode="nearest")
        fine = torch.relu(self.fine(torch.relu(grown + self.from_quarter(taps[QUARTER_BLOCK]))))
        return coarse, self.fine_out(fine)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters to train: the blocks behind the frozen ones, without their batch norms, and the
        neck."""
        blocks = self.trunk._blocks[FROZEN_BLOCKS : SIXTEENTH_BLOCK + 1]
        convolutions = [module for module in blocks.modules() if isinstance(module, nn.Conv2d)]
        neck = [parameter for name, parameter in self.named_parameters() if not name.startswith("trunk.")]
        return [parameter for module in convolutions for parameter in module.parameters()] + neck

    def tensors(self) -> dict[str, NDArray[np.float16]]:
        """Return the trained tensors by name, in half precision."""
        kept = {}
        for name, value in self.state_dict().items():
            if not name.startswith("trunk."):
                kept[name] = value
            elif name.startswith("trunk._blocks."):
                block = int(name.split(".")[2])
                if FROZEN_BLOCKS <= block <= SIXTEENTH_BLOCK and "_conv.weight" in name:
                    kept[name] = value
        return {name: value.detach().contiguous().numpy().astype(np.float16) for name, value in kept.items()}

    def take(self, tensors: dict[str, NDArray[np.float16]]) -> None:
        """Load what `tensors` returned. Raises ValueError if a tensor is unknown."""
        state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items()}
        if self.load_state_dict(state, strict=False).unexpected_keys:
            raise ValueError("these tensors are not those of a nose finder")
