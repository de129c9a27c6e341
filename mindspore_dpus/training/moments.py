"""Optimisers whose momentum can be set before every step, as a one-cycle schedule does.

MindSpore's own cannot, or not well: ``nn.Adam`` fixes it, ``experimental.optim`` compiles anew for every
value (half a second a step). Steps equal torch's. Weight decay is never that of parameters named beta or
gamma (MindSpore's rule for all its optimisers): of batch norms and layer norms.

All have, as parameters beside their moments, so that a checkpoint holds them: ``learning_rate``,
``momentum`` (beta1 of Adam and its kin) and ``global_step``.
"""

import math
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

# Up to this length of the second moment's moving average, a step of RAdam is not adaptive. The paper has
# 4, where the variance of Adam's rate is unbounded; its authors' code and torch have 5.
INTRACTABLE = 5.0
# So much larger than any second moment's root that float32 does not see the sum's other part.
HUGE = 1e15


def _scalar(value: float) -> Tensor:
    # float64: in float32, what is left of 1 - beta2 would have three wrong digits.
    return Tensor(value, ms.float64)


class MomentumOptimizer(nn.Optimizer):
    """What the optimisers of this file share.

    Args:
        parameters: what is trained.
        learning_rate: of a step.
        weight_decay: L2 penalty, added to the gradients.
        momentum: weight of what came before in the first moment.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float,
        momentum: float,
    ) -> None:
        super().__init__(learning_rate, parameters, weight_decay)
        self.momentum = Parameter(_scalar(momentum), name="momentum", requires_grad=False)
        self.moment1 = self._parameters.clone("moment1", "zeros")

    def start(self, gradients: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Gradients with weight decay; the rate, and the step's number t from 1 on, () float64."""
        gradients = self.scale_grad(self.decay_weight(gradients))
        rate = self.get_lr().astype(ms.float64)
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        return gradients, rate, self.global_step[0].astype(ms.float64)


class MomentumSGD(MomentumOptimizer):
    """Gradient descent with momentum: ``v = momentum v + g``, then ``p = p - rate v``.

    Args:
        parameters, learning_rate, weight_decay, momentum: as in ``MomentumOptimizer``.

    Source: Sutskever et al. 2013, section 2, with the learning rate outside the momentum as in torch.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, momentum)
        self.update = ops.ApplyMomentum()

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        gradients, rate, _ = self.start(gradients)
        rate, momentum = rate.astype(ms.float32), self.momentum.astype(ms.float32)
        # Compiled graphs know no zip(strict=True).
        for parameter, moment, gradient in zip(self._parameters, self.moment1, gradients):  # noqa: B905
            self.update(parameter, moment, rate, gradient, momentum)
        return True


class Adamax(MomentumOptimizer):
    """Adam with the largest gradient in place of the root mean square: ``u = max(beta2 u, |g|)``.

    Args:
        parameters, learning_rate, weight_decay: as in ``MomentumOptimizer``.
        momentum: beta1, decay of the first moment.
        beta2: decay of the largest gradient.
        epsilon: added to it.

    Source: Kingma and Ba 2015, Algorithm 2.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, momentum)
        self.largest = self._parameters.clone("largest", "zeros")
        self.beta2 = Tensor(beta2, ms.float32)
        self.epsilon = Tensor(epsilon, ms.float32)
        self.zero = Tensor(0.0, ms.float32)
        self.update = ops.ApplyAdaMax()

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        gradients, rate, step = self.start(gradients)
        rate = (rate / (1 - ops.pow(self.momentum, step))).astype(ms.float32)
        beta1 = self.momentum.astype(ms.float32)
        for parameter, moment, largest, gradient in zip(  # noqa: B905
            self._parameters, self.moment1, self.largest, gradients
        ):
            # Its own bias correction is switched off by the 0.
            self.update(
                parameter, moment, largest, self.zero, rate, beta1, self.beta2, self.epsilon, gradient
            )
        return True


class Adam(MomentumOptimizer):
    """Adam: ``m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)``.

    ``nn.Adam`` adds epsilon before the second moment is corrected, so in the first steps its epsilon is
    up to 30 times as large.

    Args:
        parameters, learning_rate, momentum: as in ``MomentumOptimizer``; momentum is beta1.
        weight_decay: L2 penalty, added to the gradients; see ``decoupled``.
        beta2: decay of the second moment.
        epsilon: added to its root.
        decoupled: AdamW: the weights themselves shrink by ``rate * weight_decay`` of theirs in a step,
            and the moments know nothing of it.

    Source: Kingma and Ba 2015, Algorithm 1; Loshchilov and Hutter 2019, Algorithm 2, the rate being that
        of both as in torch.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        decoupled: bool = False,
    ) -> None:
        super().__init__(parameters, learning_rate, 0.0 if decoupled else weight_decay, momentum)
        self.moment2 = self._parameters.clone("moment2", "zeros")
        self.shrinkage = _scalar(weight_decay)
        self.shrinks = tuple(decoupled and not _is_norm(p.name) for p in self._parameters)
        self.beta2, self.epsilon = _scalar(beta2), _scalar(epsilon)
        # The kernel's 1 - beta2 is that of float32: 1.3e-5 off at 0.999, and so are its second moments.
        self.root_error = _scalar(math.sqrt((1 - float(np.float32(beta2))) / (1 - beta2)))
        self.zero = Tensor(0.0, ms.float32)
        # One kernel, without bias correction: it moves a parameter by
        # rate (m / (sqrt(v) + epsilon) + shrinkage p).
        self.fused = ops.AdamWeightDecay()

    def step_factors(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """What the learning rate of ``m / (sqrt(v) + epsilon)`` is multiplied by, and that epsilon.

        Args:
            step: t, from 1 on, () float64.
        """
        root = ops.sqrt(1 - ops.pow(self.beta2, step))
        return root / (1 - ops.pow(self.momentum, step)), self.epsilon * root

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        gradients, rate, step = self.start(gradients)
        factor, epsilon = self.step_factors(step)
        self.move(gradients, rate, factor, epsilon)
        return True

    def move(self, gradients: tuple[Tensor, ...], rate: Tensor, factor: Tensor, epsilon: Tensor) -> None:
        """Update the moments, then all parameters.

        Args:
            gradients: float32.
            rate: the learning rate, () float64.
            factor, epsilon: ``step_factors``, () float64.
        """
        factor = factor * self.root_error
        # Of the rate alone, which the kernel multiplies by the factor; and without it: it may be 0.
        shrinkage = (self.shrinkage / factor).astype(ms.float32)
        factor = (rate * factor).astype(ms.float32)
        epsilon = (epsilon * self.root_error).astype(ms.float32)
        beta1, beta2 = self.momentum.astype(ms.float32), self.beta2.astype(ms.float32)
        for parameter, moment1, moment2, gradient, shrinks in zip(  # noqa: B905
            self._parameters, self.moment1, self.moment2, gradients, self.shrinks
        ):
            own = shrinkage if shrinks else self.zero
            self.fused(parameter, moment1, moment2, factor, beta1, beta2, epsilon, own, gradient)


class NAdam(Adam):
    """Adam that looks ahead as Nesterov's momentum does.

    Args:
        parameters, learning_rate, weight_decay, momentum, beta2, epsilon: as in ``Adam``.
        momentum_decay: psi of the momentum's schedule, ``beta1 (1 - 0.96^(psi t) / 2)``.

    Source: Dozat 2016, Algorithm 2 and its section on the schedule.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, momentum, beta2, epsilon)
        self.momentum_decay = momentum_decay
        self.base = _scalar(0.96)
        self.product = Parameter(_scalar(1.0), name="momentum_product", requires_grad=False)

    def scheduled(self, step: Tensor) -> Tensor:
        """The momentum of a step."""
        return self.momentum * (1 - 0.5 * ops.pow(self.base, step * self.momentum_decay))

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        gradients, rate, step = self.start(gradients)
        root = ops.sqrt(1 - ops.pow(self.beta2, step))
        now, ahead = self.scheduled(step), self.scheduled(step + 1)
        product = self.product * now
        ops.assign(self.product, product)
        epsilon = self.epsilon * root
        self.move(gradients, rate, root * ahead / (1 - product * ahead), epsilon)
        factor = rate * root * (1 - now) / (1 - product)
        factor = (factor * self.root_error).astype(ms.float32)
        epsilon = (epsilon * self.root_error).astype(ms.float32)
        for parameter, moment2, gradient in zip(  # noqa: B905
            self._parameters, self.moment2, gradients
        ):
            ops.assign_sub(parameter, factor * gradient / (ops.sqrt(moment2) + epsilon))
        return True


class RAdam(Adam):
    """Adam that waits until its second moment rests on enough gradients.

    ``rho_t`` is the length of the second moment's moving average after t steps. Up to 5, a step is that
    of momentum, ``m / (1 - beta1^t)``; above, it is Adam's, times a factor that grows from 0 towards 1.

    Args:
        parameters, learning_rate, weight_decay, momentum, beta2, epsilon: as in ``Adam``; epsilon is
            added to the second moment's root before that is corrected.

    Source: Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond", Algorithm 2.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay, momentum, beta2, epsilon)
        rho_inf = 2 / (1 - beta2) - 1
        self.rho_inf = _scalar(rho_inf)
        self.limit = _scalar((rho_inf - 4) * (rho_inf - 2) / rho_inf)
        self.intractable = _scalar(INTRACTABLE)
        self.huge = _scalar(HUGE)

    def factors(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """What the learning rate is multiplied by: for Adam's direction, and for momentum's.

        Args:
            step: t, from 1 on; () float64.

        Returns:
            Factors of ``m / (sqrt(v) + epsilon)`` and of ``m``, () float64; one of them is 0.
        """
        # In float32, rho_t would be the small difference of numbers near 2000.
        power = ops.pow(self.beta2, step)
        rho = self.rho_inf - 2 * step * power / (1 - power)
        tractable = (rho > self.intractable).astype(ms.float64)
        rho = ops.maximum(rho, self.intractable)
        rectified = ops.sqrt((rho - 4) * (rho - 2) / rho / self.limit)
        debiased = 1 / (1 - ops.pow(self.momentum, step))
        return tractable * rectified * ops.sqrt(1 - power) * debiased, (1 - tractable) * debiased

    def step_factors(self, step: Tensor) -> tuple[Tensor, Tensor]:
        adaptive, plain = self.factors(step)
        # A huge epsilon leaves nothing of the second moment: the same kernel makes momentum's step.
        epsilon = self.epsilon + (plain > 0).astype(ms.float64) * self.huge
        return adaptive + plain * self.huge, epsilon


def _is_norm(name: str) -> bool:
    """Whether a parameter is the scale or shift of a norm, by ``nn.Optimizer``'s rule."""
    return "beta" in name or "gamma" in name
