"""Extractors of embeddings with their heads: how the network of a machine is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.nn.utils import no_init_parameters

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.conformer import Conformer
from mindspore_dpus.models.dropout import use_seeded_dropout
from mindspore_dpus.models.efficientnet import EfficientNet, Stage
from mindspore_dpus.models.freeze import Phase
from mindspore_dpus.models.options import option_names
from mindspore_dpus.models.sound_heads import OutlierExposureNet
from mindspore_dpus.models.starting import use_kernels_of, zero_parameters
from mindspore_dpus.models.transformer import Transformer
from mindspore_dpus.models.weights import get_state


def _efficientnet(shape: tuple[int, int], embedding_size: int, **options) -> nn.Cell:
    if "stages" in options:
        options["stages"] = [Stage(*row) for row in options["stages"]]
    return EfficientNet(embedding_size, in_channels=1, **options)


def _of_frames(kind: type[nn.Cell]) -> Callable[..., nn.Cell]:
    def build(shape: tuple[int, int], embedding_size: int, **options) -> nn.Cell:
        return kind(embedding_size, mel_bands=shape[0], frames=shape[1], **options)

    return build


@dataclass(frozen=True)
class Row:
    """A row of ``NETWORKS``.

    Args:
        build: (bands, frames), embedding size and the options -> extractor.
        kind: whose options it takes.
    """

    build: Callable[..., nn.Cell]
    kind: type[nn.Cell]


NETWORKS = {
    "efficientnet_b0": Row(_efficientnet, EfficientNet),
    "transformer": Row(_of_frames(Transformer), Transformer),
    "conformer": Row(_of_frames(Conformer), Conformer),
}
# What the data and other keys say.
GIVEN = ("embedding_size", "mel_bands", "frames")


class Built:
    """What a ``training.members.Network`` is made of, once ``create`` says which Cell it is."""

    def create(self) -> nn.Cell:
        """The network, its weights random."""
        raise NotImplementedError

    def build(self, device: Device) -> nn.Cell:
        """The network on its device, its parameters zero."""
        with no_init_parameters():
            net = self.create()
        zero_parameters(net)
        if not device.jit:
            use_seeded_dropout(net, device.rank, device.n_devices)
        use_kernels_of(device, net)
        return net

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """Random weights."""
        ms.set_seed(seed)
        net = self.create()
        net.init_parameters_data()
        return get_state(net)

    def phases(self, net: nn.Cell) -> list[Phase]:
        """All layers are trained throughout."""
        return [Phase(1, frozenset())]


@dataclass(frozen=True)
class SoundNetwork(Built):
    """A ``training.members.Network``.

    Args:
        name: key of ``NETWORKS``.
        shape: bands and frames of a segment.
        embedding_size: of the embedding.
        n_sections: K.
        with_domain: whether it has a head for the domain.
        options: of the extractor.
    """

    name: str
    shape: tuple[int, int]
    embedding_size: int
    n_sections: int
    with_domain: bool
    options: tuple[tuple[str, object], ...] = ()

    def create(self) -> nn.Cell:
        """The network, its weights random.

        Raises:
            UserError: an option is unknown or not usable.
        """
        row, options = NETWORKS[self.name], dict(self.options)
        known = [name for name in option_names(row.kind) if name not in GIVEN]
        for option in options:
            if option not in known:
                raise UserError(
                    f"extractors.options.{self.name}: there is no option {option!r}; it takes "
                    f"{', '.join(known)}"
                )
        try:
            extractor = row.build(self.shape, self.embedding_size, **options)
        except (TypeError, ValueError) as error:
            raise UserError(f"extractors.options.{self.name}: {' '.join(str(error).split())}") from None
        return OutlierExposureNet(extractor, self.n_sections, self.with_domain)


def frozen_options(options: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    """Options as ``SoundNetwork`` takes them."""
    return tuple(sorted(options.items()))
