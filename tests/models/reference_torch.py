"""The independent reference: the benchmark's torch networks, their batch norms no identities."""

import torch
from benchmarking.torch_nets import create_net
from torch import nn


def create(backbone: str, num_classes: int) -> nn.Module:
    """An RGB network in evaluation mode, under torchvision's names."""
    torch.manual_seed(0)
    net = create_net(backbone, num_classes, in_channels=3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    # safetensors writes an array's memory as it lies, not in the order of its axes.
    return net.to(memory_format=torch.contiguous_format).eval()
