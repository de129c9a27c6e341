"""The networks: our own Cells, mindcv's zoo for all others, their weights, freezing, folding."""


def __getattr__(name: str):
    """``create_model`` and ``load_weights``, imported when they are asked for: MindSpore takes seconds."""
    if name == "create_model":
        from mindspore_dpus.models.factory import create_model

        return create_model
    if name == "load_weights":
        from mindspore_dpus.models.weights import load_weights

        return load_weights
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
