"""Images -> vectors (``extract``, with MindSpore) -> whitened vectors (``whitening``, without)."""

from mindspore_dpus.features.whitening import whiten

__all__ = ["whiten"]
