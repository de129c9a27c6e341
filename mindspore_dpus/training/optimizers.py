"""The optimisers: Adam is MindSpore's; it has no Rectified Adam, so that is ours."""

import math
from collections.abc import Sequence

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from mindspore_dpus.core.choices import load
from mindspore_dpus.training.settings import OPTIMIZERS, TrainingSettings

# Up to this length of the second moment's moving average, a step is not adaptive. The paper has 4, where
# the variance of Adam's rate is unbounded; its authors' code and torch have 5.
INTRACTABLE = 5.0


def create_optimizer(net: nn.Cell, training: TrainingSettings) -> nn.Optimizer:
    """The optimiser that the section names, over a network's trainable parameters."""
    return load(OPTIMIZERS[training.optimizer].create)(
        net.trainable_params(),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        **training.optimizer_options,
    )


def adam(parameters: Sequence[Parameter], learning_rate: float, weight_decay: float) -> nn.Optimizer:
    """Kingma and Ba 2015: MindSpore's."""
    return nn.Adam(parameters, learning_rate=learning_rate, weight_decay=weight_decay)


class RectifiedAdam(nn.Optimizer):
    """Adam that waits until its second moment rests on enough gradients.

    ``rho_t`` is the length of the second moment's moving average after t steps. Up to 5, a step is that
    of momentum, ``m / (1 - beta1^t)``; above, it is Adam's, times a factor that grows from 0 towards 1.

    Args:
        parameters: what is trained.
        learning_rate: of a step.
        weight_decay: L2 penalty, added to the gradients, but not of parameters named beta or gamma
            (MindSpore's rule for all its optimisers: batch norms).
        beta1, beta2: decay of the first and of the second moment.
        epsilon: added to the root of the second moment.

    Source: Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond", Algorithm 2.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate, parameters, weight_decay)
        # As tensors: a number beside a float64 tensor is rounded to float32 first.
        self.log_beta1 = Tensor(math.log(beta1), ms.float64)
        self.log_beta2 = Tensor(math.log(beta2), ms.float64)
        rho_inf = 2 / (1 - beta2) - 1
        self.rho_inf = Tensor(rho_inf, ms.float64)
        self.limit = Tensor((rho_inf - 4) * (rho_inf - 2) / rho_inf, ms.float64)
        self.moment1 = self._parameters.clone("moment1", "zeros")
        self.moment2 = self._parameters.clone("moment2", "zeros")
        self.betas = Tensor(beta1, ms.float32), Tensor(beta2, ms.float32)
        self.epsilon = Tensor(epsilon, ms.float32)
        self.zero = Tensor(0.0, ms.float32)
        self.adam = ops.Adam()

    def factors(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """What the learning rate is multiplied by: for Adam's direction, and for momentum's.

        Args:
            step: t, from 1 on; () float64.

        Returns:
            Factors of ``m / (sqrt(v) + epsilon)`` and of ``m``, () float64; one of them is 0.
        """
        # In float32, rho_t would be the small difference of numbers near 2000.
        power1, power2 = ops.exp(step * self.log_beta1), ops.exp(step * self.log_beta2)
        rho = self.rho_inf - 2 * step * power2 / (1 - power2)
        tractable = (rho > INTRACTABLE).astype(ms.float64)
        rho = ops.maximum(rho, Tensor(INTRACTABLE, ms.float64))
        rectified = ops.sqrt((rho - 4) * (rho - 2) / rho / self.limit)
        debiased = 1 / (1 - power1)
        return tractable * rectified * ops.sqrt(1 - power2) * debiased, (1 - tractable) * debiased

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        gradients = self.scale_grad(self.decay_weight(gradients))
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        adaptive, plain = self.factors(self.global_step[0].astype(ms.float64))
        adaptive = rate * adaptive.astype(ms.float32)
        plain = rate * plain.astype(ms.float32)
        beta1, beta2 = self.betas
        # Compiled graphs know no zip(strict=True).
        for parameter, moment1, moment2, gradient in zip(  # noqa: B905
            self._parameters, self.moment1, self.moment2, gradients
        ):
            # The fused kernel, with its own bias correction (the two powers) switched off.
            self.adam(
                parameter, moment1, moment2, self.zero, self.zero,
                adaptive, beta1, beta2, self.epsilon, gradient,
            )  # fmt: skip
            ops.assign_sub(parameter, plain * moment1)
        return True
