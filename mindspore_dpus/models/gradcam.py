"""Where in an image a network finds evidence for a class: Grad-CAM and HiResCAM."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.freeze import set_train

# A map of the last layers at the sizes that these networks were made for (224 pixels, stride 32).
# Coarser ones cannot point at a flaw: at 128 pixels, one place of 4 x 4 is larger than most castings'
# flaws, and their peaks lay in the annotated boxes as often as by chance (docs/guide/heatmaps.md).
FEWEST_PLACES = 7


class NoMapError(UserError):
    """A network, or a layer of it, has no map to look at."""


class GradCam:
    """How each place of one layer's map speaks for a class.

    What is explained is the log-odds of the class, ``z_c - logsumexp(z_others)``; for two classes the
    difference of the logits. A logit alone is not fixed by the output: the softmax stays as it is when
    all logits of an image rise together, the logit's map does not.

    Args:
        net: images -> logits.
        example: (1, C, H, W) float32, normalised: shows which Cell has a map of which shape.
        layer: a Cell that gives a map (B, K, h, w). None: the last with at least ``FEWEST_PLACES``
            each way, among the network's parts and their blocks; in large images the last of all.
        method: ``grad_cam`` weighs each channel by its gradient averaged over all places (Selvaraju et
            al. 2017, Eq. 1 and 2, without the ReLU); ``hires_cam`` multiplies each place by its own
            gradient (Draelos and Carin 2020). Before a global average and one linear layer both are
            the class activation map (Zhou et al. 2016).

    Attributes:
        layer: name of the Cell.

    Raises:
        NoMapError: no such Cell, or none with a map.
    """

    def __init__(
        self, net: nn.Cell, example: Tensor, layer: str | None = None, method: str = "hires_cam"
    ) -> None:
        self.net = net
        self.method = method
        shapes = _output_shapes(net, example)
        if layer is None:
            layer = _last_fine_map(shapes)
        self.layer = layer
        self.shape = _checked_shape(shapes, layer)
        self.cell = dict(net.cells_and_names())[layer]

    def __call__(self, batch: Tensor, classes: np.ndarray) -> np.ndarray:
        """The maps of a batch.

        Args:
            batch: (B, C, H, W) float32, normalised.
            classes: (B,) index of the class that each image is asked about.

        Returns:
            (B, h, w) float32 in units of log-odds: above 0 where the image speaks for the class, below
            where it speaks against. Before a global average and one linear layer, a map sums to the
            log-odds without the bias.
        """
        set_train(self.net, False)
        kept = []

        def log_odds(change: Tensor) -> Tensor:
            def add(cell, inputs, output) -> Tensor:
                # What comes before the map is a constant: the gradient ends here.
                kept.append(ops.stop_gradient(output))
                return kept[-1] + change

            handle = self.cell.register_forward_hook(add)
            try:
                logits = self.net(batch)
            finally:
                handle.remove()
            own = Tensor(np.eye(logits.shape[1], dtype=np.float32)[classes])
            others = ops.logsumexp(logits - 1e30 * own, 1)
            return ((logits * own).sum(axis=1) - others).sum()

        gradient = ms.grad(log_odds)(ops.zeros((len(batch), *self.shape), ms.float32))
        if self.method == "grad_cam":
            gradient = gradient.mean((2, 3), keep_dims=True)
        return (gradient * kept[-1]).sum(axis=1).asnumpy()


def _output_shapes(net: nn.Cell, example: Tensor) -> dict[str, list[tuple[int, ...]]]:
    """Shapes that every Cell gives in one pass, in the order in which they end; () for no tensor."""
    shapes: dict[str, list[tuple[int, ...]]] = {}

    def watch(name: str):
        def hook(cell, inputs, output) -> None:
            seen = shapes.pop(name, [])
            shapes[name] = [*seen, output.shape if isinstance(output, Tensor) else ()]

        return hook

    cells = [(name, cell) for name, cell in net.cells_and_names() if name]
    handles = [cell.register_forward_hook(watch(name)) for name, cell in cells]
    set_train(net, False)
    try:
        net(example)
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def _last_fine_map(shapes: dict[str, list[tuple[int, ...]]]) -> str:
    # Inner layers of a block are passed over: they are a step of a sum, not what the block says.
    parts = {name: shape for name, (*_, shape) in shapes.items() if name.count(".") <= 1}
    for name, shape in reversed(parts.items()):
        if len(shape) == 4 and min(shape[2:]) >= FEWEST_PLACES:
            return name
        if len(shape) == 3:
            break  # Tokens: a transformer, whose only map is what it cuts the image into.
    raise NoMapError(
        f"no part of the backbone gives a map of {FEWEST_PLACES} x {FEWEST_PLACES} places or more at "
        "this image size: name one with heatmaps.layer, or use larger images or a convolutional network"
    )


def _checked_shape(shapes: dict[str, list[tuple[int, ...]]], layer: str) -> tuple[int, ...]:
    if layer not in shapes:
        top = ", ".join(name for name in shapes if "." not in name)
        raise NoMapError(f"heatmaps.layer: the backbone runs no Cell {layer!r}; its parts are: {top}")
    shape = shapes[layer][-1]
    if len(shape) != 4 or shape[2] * shape[3] == 1:
        raise NoMapError(
            f"heatmaps.layer: {layer!r} gives no map of places: the shape of its output is {shape}"
        )
    if len(shapes[layer]) > 1:
        raise NoMapError(f"heatmaps.layer: {layer!r} runs {len(shapes[layer])} times in one pass")
    return shape[1:]
