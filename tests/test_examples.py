"""What a porter or a notebook uses is importable from its package, and its example runs."""

import doctest
import importlib

import pytest

PUBLIC = {
    "mindspore_dpus.models": ["create_model", "load_weights"],
    "mindspore_dpus.losses": ["create_loss"],
    "mindspore_dpus.sampling": ["DistributionPreservingUnderSampler"],
    "mindspore_dpus.features": ["whiten"],
    "mindspore_dpus.metrics": ["roc_auc"],
}


def run_example(public, **given):
    """Run the one example in the docstring of something; ``given`` are names that it uses."""
    (example,) = doctest.DocTestFinder(recurse=False).find(public, public.__name__, globs=given)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


NAMES = [(package, name) for package, names in PUBLIC.items() for name in names]


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[name for _, name in NAMES])
def test_an_example_runs(package, name):
    run_example(getattr(importlib.import_module(package), name))


@pytest.mark.parametrize("kind", [str, None])
def test_weights_are_named_as_text_or_as_a_path(kind, tmp_path):
    from mindspore_dpus.models import create_model
    from mindspore_dpus.models.weights import get_state
    from mindspore_dpus.training.checkpoint import save_checkpoint

    options = {"num_classes": 2, "in_channels": 1, "image_size": 32}
    path = tmp_path / "lenet.safetensors"
    save_checkpoint(path, get_state(create_model("lenet5", seed=3, **options)), {})
    net = create_model("lenet5", pretrained=kind(path) if kind else path, **options)
    stem = next(iter(get_state(net).values()))
    assert (stem == next(iter(get_state(create_model("lenet5", seed=3, **options)).values()))).all()
