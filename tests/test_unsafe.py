"""Nothing that is read can run code: no pickle, eval, unsafe YAML or shell in package and tools."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("mindspore_dpus", "tools") for path in (ROOT / folder).rglob("*.py"))
NEVER = {
    *("eval", "exec", "compile", "__import__"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open"),
    *("dill.load", "joblib.load", "pandas.read_pickle", "pd.read_pickle", "cloudpickle.loads"),
    *(
        "yaml.load",
        "yaml.load_all",
        "yaml.full_load",
        "yaml.unsafe_load",
        "yaml.Loader",
        "yaml.UnsafeLoader",
    ),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
}
# File and call -> why it is safe.
ALLOWED = {
    (
        "mindspore_dpus/core/processes.py",
        "pickle.loads",
    ): "of what this process has pickled on the same line",
    (
        "mindspore_dpus/models/kernels/machine_code.py",
        "pickle.load",
    ): "of what the process that started this one for it has pickled",
}
# Safe only with this argument.
ONLY_WITH = {"torch.load": ("weights_only", True)}
# Unsafe with this argument.
NEVER_WITH = (("allow_pickle", True), ("shell", True), ("weights_only", False))


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: getattr(k.value, "value", None) for k in node.keywords}


def unsafe(tree):
    """Names of the calls that could run what they read."""
    for name, arguments in calls(tree):
        if name in NEVER:
            yield name
        if name in ONLY_WITH and arguments.get(ONLY_WITH[name][0]) is not ONLY_WITH[name][1]:
            yield name
        if any(arguments.get(key) is value for key, value in NEVER_WITH):
            yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_runs_what_it_reads(path):
    name = path.relative_to(ROOT).as_posix()
    found = [call for call in unsafe(ast.parse(path.read_text())) if (name, call) not in ALLOWED]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "pickle.loads(data)",
        "yaml.load(text, yaml.SafeLoader)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_search_finds(line):
    assert list(unsafe(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    ["np.load(path)", "torch.load(path, weights_only=True)", "yaml.safe_load(text)", "net.eval()"],
)
def test_the_search_lets_pass(line):
    assert not list(unsafe(ast.parse(line)))


def test_what_is_allowed_is_there():
    for (name, call), _ in ALLOWED.items():
        assert call in unsafe(ast.parse((ROOT / name).read_text()))
