"""Networks that run as a whole up to their classifier, in training and in evaluation.

What a network is, its Cells and parameters, stays as it is. Where a batch cannot go through as a whole,
``construct`` goes from Cell to Cell as ever: a layer or a batch norm is frozen, batch norms see several
devices, somebody has a hook on a Cell before the classifier, asks for gradients in evaluation, or may
ask for the gradient of the images.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common import _Function
from mindspore.common.api import _pynative_executor

from mindspore_dpus.core.device import give_back_freed
from mindspore_dpus.models.kernels.batch_norm import BatchNormTraining
from mindspore_dpus.models.kernels.blocked import equal
from mindspore_dpus.models.kernels.chain import Hooks, UnknownNetError, links, links_up_to
from mindspore_dpus.models.kernels.crew import side_by_side
from mindspore_dpus.models.kernels.folded import FoldedPlan, chunk_size
from mindspore_dpus.models.kernels.gates import gate_parameters
from mindspore_dpus.models.kernels.kept import Plan, Plans
from mindspore_dpus.models.kernels.kernel import are_float32, refuse_second_order
from mindspore_dpus.models.kernels.log import say_once
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.library import OneDnn, one_dnn
from mindspore_dpus.models.kernels.trunk import Pass
from mindspore_dpus.models.kernels.trunk_plan import TrunkPlan
from mindspore_dpus.models.kernels.workspace import Workspaces

# Shapes whose plans are kept: full batches, and the last one of an epoch.
KEPT_PLANS = 2
HOOKED = "a layer has a hook"


class _Trunk(_Function):
    """A network up to the mean of its last maps, in training. The gradient of the images, which must not
    be wanted, is not computed."""

    @staticmethod
    def forward(
        ctx: _Function, plan: TrunkPlan, images: Tensor, factors: list[np.ndarray], *parameters: Tensor
    ) -> Tensor:
        number = len(plan.chain)
        arrays = [parameter.asnumpy() for parameter in parameters]
        weights, gammas, betas = (arrays[i * number : (i + 1) * number] for i in range(3))
        gates = [arrays[i : i + 4] for i in range(3 * number, len(arrays), 4)]
        norms = list(zip(gammas, betas, strict=True))
        way = Pass(plan)
        pooled = way.forward(images.asnumpy(), weights, norms, gates, factors)
        way.move_statistics()
        ctx.way = way
        return Tensor.from_numpy(pooled)

    @staticmethod
    def backward(ctx: _Function, gradient: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_order()
        found = ctx.way.backward(gradient.asnumpy())
        ctx.way = None
        return None, None, None, *(Tensor.from_numpy(array) for part in found for array in part)


class InOne:
    """What a network's ``construct`` asks first.

    Args:
        net: a network of ours that runs in PyNative mode on CPU, in float32.
        dnn: the library.

    Raises:
        UnknownNetError: it is not one of those that are known.
    """

    def __init__(self, net: nn.Cell, dnn: OneDnn) -> None:
        self._net, self._dnn = net, dnn
        self.chain = links(net)
        self._hooks = Hooks(net)
        self._norms = [link.norm for link in self.chain]
        self._shapes = [p.shape for p in (*self._parameters, *self._statistics)]
        self._trunks: Plans[TrunkPlan] = Plans(KEPT_PLANS)
        self._workspaces = Workspaces()
        self._folded: Plans[FoldedPlan] = Plans(KEPT_PLANS)
        self._folded_from: list[np.ndarray] | None = None
        # (purpose, shape) that oneDNN has no fast kernel for.
        self._unfit: set[tuple[str, tuple]] = set()

    # Always those that the Cells have now: somebody may put others in their place.
    @property
    def _parameters(self) -> list[Parameter]:
        return [
            *(link.conv.weight for link in self.chain),
            *(norm.gamma for norm in self._norms),
            *(norm.beta for norm in self._norms),
            *(p for link in self.chain if link.excite for p in gate_parameters(link.excite)),
        ]

    @property
    def _statistics(self) -> list[Parameter]:
        return [p for norm in self._norms for p in (norm.moving_mean, norm.moving_variance)]

    def __call__(self, images: Tensor) -> Tensor | None:
        """The mean of the last maps, (N, channels) float32, or None where the Cells must run one by one.

        Args:
            images: (N, C, H, W) float32.
        """
        reason = self._obstacle(images)
        if reason is not None:
            # Heatmaps need hooks: nobody has to know.
            level = logging.DEBUG if reason == HOOKED else logging.INFO
            say_once(level, f"{type(self._net).__name__} runs layer by layer where {reason}")
            return None
        if self._net.training:
            self._leave_evaluation()
            plan = self._plan("training", self._trunks, images.shape, self._new_trunk)
            if plan is None:
                return None
            return _Trunk.apply(plan, images, self._factors(len(images)), *self._parameters)
        pooled = self.evaluate(images.asnumpy())
        return None if pooled is None else Tensor.from_numpy(pooled)

    def _factors(self, n: int) -> list[np.ndarray]:
        """What the links that drop images multiply them by, drawn as their Cells would."""
        ones = ops.ones((n, 1, 1, 1), ms.float32)
        cells = [link.drop_path for link in self.chain if link.drop_path]
        return [cell.dropout(ones).asnumpy().ravel() for cell in cells]

    def _obstacle(self, images: Tensor) -> str | None:
        """Why the Cells must run one by one, or None."""
        channels = self.chain[0].conv.in_channels
        if images.ndim != 4 or not are_float32(images) or images.shape[1] != channels:
            return f"a batch is not (N, {channels}, H, W) of float32"
        if self._hooks:
            return HOOKED
        parameters = self._parameters
        if not self._is_as_it_was(parameters):
            return "a layer was replaced"
        training = self._net.training
        if {norm.training for norm in self._norms} != {training}:
            return "a layer is frozen"
        if not training:
            return "a gradient is wanted in evaluation" if _pynative_executor.grad_flag() else None
        # MindSpore sets it for whatever a gradient goes through; ``training.step`` stops it here.
        if images._requires_grad:
            return "the gradient of the images may be wanted"
        if not all(p.requires_grad for p in parameters):
            return "a layer is frozen"
        if not all(type(norm.bn_train) is BatchNormTraining for norm in self._norms):
            return "batch norms see several devices"
        return None

    def _is_as_it_was(self, parameters: list[Parameter]) -> bool:
        """Whether no Cell was replaced by another, and no parameter by one of another shape or type."""
        try:
            if links(self._net) != self.chain:
                return False
        except UnknownNetError:
            return False
        now = *parameters, *self._statistics
        return [p.shape for p in now] == self._shapes and all(p.dtype == ms.float32 for p in now)

    def _new_trunk(self, shape: tuple) -> TrunkPlan:
        return TrunkPlan(self._dnn, self.chain, shape, self._workspaces)

    def _new_folded(self, shape: tuple) -> FoldedPlan:
        number, chunk, *image = shape
        return FoldedPlan(self._dnn, self.chain[:number], chunk, tuple(image))

    def _plan(
        self,
        purpose: str,
        plans: Plans[Plan],
        shape: tuple,
        create: Callable[[tuple], Plan],
    ) -> Plan | None:
        if (purpose, shape) in self._unfit:
            return None
        try:
            return plans.recall(shape, lambda: create(shape))
        except (OneDnnError, UnknownNetError) as error:
            self._unfit.add((purpose, shape))
            say_once(
                logging.WARNING, f"{purpose} of {type(self._net).__name__} runs layer by layer: {error}"
            )
            return None

    def evaluate(self, images: np.ndarray, number: int | None = None) -> np.ndarray | None:
        """The mean of maps with the moving statistics, (N, channels) float32; None where oneDNN has no
        fast kernel for a layer.

        Args:
            images: (N, C, H, W) float32.
            number: of links; None: all of them.
        """
        # The memory of training and that of evaluation are never there at a time.
        self._workspaces.release()
        if self._has_changed():
            for plan in self._folded.values():
                plan.is_loaded = False
        shape = number or len(self.chain), chunk_size(len(images)), *images.shape[1:]
        plan = self._plan("evaluation", self._folded, shape, self._new_folded)
        if plan is None:
            return None
        if not plan.is_loaded:
            plan.load()
        return plan(images)

    def features(self, images: Tensor, layer: str) -> np.ndarray | None:
        """The mean of what a named Cell gives in evaluation, (N, D) float32; None where the Cells must
        run one by one."""
        if self._net.training or self._obstacle(images) is not None:
            return None
        number = links_up_to(self._net, layer)
        return None if number is None else self.evaluate(images.asnumpy(), number)

    def _has_changed(self) -> bool:
        """Whether a parameter, or what is added to a variance, is no longer what the plans of evaluation
        have folded."""
        now = [p.asnumpy() for p in (*self._parameters, *self._statistics)]
        now.append(np.array([norm.eps for norm in self._norms], np.float32))
        if self._folded_from is not None and _same(now, self._folded_from):
            return False
        self._folded_from = [array.copy() for array in now]
        return True

    def _leave_evaluation(self) -> None:
        """Give back the memory that only evaluation needs."""
        if self._folded_from is not None:
            self._folded_from = None
            for plan in self._folded.values():
                plan.unload()
            give_back_freed()


def _same(now: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> bool:
    changed = []

    def compare(pair: tuple[np.ndarray, np.ndarray]) -> None:
        if not changed and not equal(pair[0].ravel(), pair[1].ravel()):
            changed.append(True)

    pairs = sorted(zip(now, before, strict=True), key=lambda pair: -pair[0].size)
    side_by_side(compare, pairs)
    return not changed


def use_whole_network(net: nn.Cell) -> int:
    """Let every ResNet, MobileNetV2 and EfficientNet of ours in a network run as a whole.

    Args:
        net: any network in PyNative mode on CPU, in float32, after ``use_fast_batch_norm``.

    Returns:
        How many there are; 0 where oneDNN cannot be used.
    """
    known = []
    for _, cell in net.cells_and_names():
        with contextlib.suppress(UnknownNetError):
            links(cell)
            known.append(cell)
    dnn = one_dnn() if known else None
    if dnn is None:
        return 0
    for cell in known:
        cell.in_one = InOne(cell, dnn)
    return len(known)
