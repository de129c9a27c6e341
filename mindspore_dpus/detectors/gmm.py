"""Negative log-likelihood under a mixture of Gaussians."""

from typing import ClassVar

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.base import SizedDetector, check_choice


class GMM(SizedDetector):
    """Gaussian mixture by expectation maximisation; the score is minus the log density.

    Args:
        size: number of components.
        random_state: seed of the k-means that EM starts from.
        covariance: ``full``, or ``diag``: for few normals of many numbers.
        regularisation: what is added to each component's variances, as a share of the mean variance of
            all normals: it means the same whatever the vectors' unit is.
        n_init: starts, of which the likeliest counts.
        max_iter: EM steps at most; scikit-learn warns when they do not suffice.
    """

    name: ClassVar[str] = "gmm"
    parameters: ClassVar[tuple[str, ...]] = ("size", "covariance")
    # For full covariances ``whitening`` is (K, D, D), for diagonal ones (K, D): the density's exponent
    # is the squared norm of (x - mean) times it.
    fitted: ClassVar[tuple[str, ...]] = ("log_weights", "means", "whitening")

    def __init__(
        self,
        size: int,
        random_state: int = 0,
        *,
        covariance: str = "full",
        regularisation: float = 1e-3,
        n_init: int = 1,
        max_iter: int = 500,
    ) -> None:
        super().__init__(size)
        self.random_state = random_state
        self.covariance = check_choice(self.name, "covariance", covariance, ("full", "diag"))
        if not regularisation > 0:
            raise UserError(f"detector gmm: regularisation {regularisation!r} must be above 0")
        self.regularisation = regularisation
        self.n_init = n_init
        self.max_iter = max_iter

    def least(self) -> int:
        return max(2, self.size)

    def n_features(self) -> int:
        return self.means.shape[1]

    def _fit(self, X: np.ndarray) -> None:
        # Here, not above: who only scores has no scikit-learn.
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            self.size,
            covariance_type=self.covariance,
            reg_covar=self.regularisation * X.var(axis=0).mean(),
            n_init=self.n_init,
            max_iter=self.max_iter,
            random_state=self.random_state,
        ).fit(X)
        self.log_weights = np.log(mixture.weights_)
        self.means = mixture.means_
        self.whitening = np.ascontiguousarray(mixture.precisions_cholesky_)

    def _score(self, X: np.ndarray) -> np.ndarray:
        logs = np.empty((len(X), self.size))
        constant = X.shape[1] * np.log(2 * np.pi) / 2
        for k, (mean, whitening) in enumerate(zip(self.means, self.whitening, strict=True)):
            full = whitening.ndim == 2
            white = (X - mean) @ whitening if full else (X - mean) * whitening
            spread = np.log(np.diag(whitening) if full else whitening).sum()
            logs[:, k] = self.log_weights[k] + spread - constant - (white**2).sum(axis=1) / 2
        most = logs.max(axis=1)
        return -(most + np.log(np.exp(logs - most[:, None]).sum(axis=1)))
