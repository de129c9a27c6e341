"""Balanced training sets from imbalanced ones: an imbalanced-learn sampler. No MindSpore here."""

from mindspore_dpus.sampling.dpus import DistributionPreservingUnderSampler

__all__ = ["DistributionPreservingUnderSampler"]
