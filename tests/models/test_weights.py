"""Checkpoints of every origin; nothing missing is passed over in silence."""

import hashlib
import http.client
import http.server
import threading
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from safetensors.numpy import load_file, save_file

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.pretrained import check_download, fetch, find_weights, obtain
from mindspore_dpus.models.weights import (
    adapt_stem,
    assign,
    get_state,
    load_weights,
    read_checkpoint,
    set_state,
)

SHARED = Path(__file__).parents[3] / "shared" / "weights"


@pytest.fixture(scope="module")
def state():
    return get_state(create_model("resnet18", 1000, seed=1))


def saved(path, arrays):
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
    return path


def test_a_new_classifier_stays_fresh_and_is_named(state, tmp_path):
    path = saved(tmp_path / "w.safetensors", state)
    report = load_weights(create_model("resnet18", 2), path)
    assert report.fresh == ["classifier.weight", "classifier.bias"]


def test_the_classifier_of_a_new_model_is_new_where_it_would_fit(tmp_path):
    trained = create_model("resnet18", 2, seed=1)
    path = saved(tmp_path / "w.safetensors", get_state(trained))
    assert load_weights(create_model("resnet18", 2), path).fresh == []
    new, other = (
        create_model("resnet18", 2, pretrained=path, seed=2),
        create_model("resnet18", 2, seed=2),
    )
    head = "classifier.weight"
    np.testing.assert_array_equal(get_state(new)[head], get_state(other)[head])
    body = "layer4.1.conv2.weight"
    np.testing.assert_array_equal(get_state(new)[body], get_state(trained)[body])


def test_every_missing_parameter_is_named_unless_allowed(state, tmp_path):
    partial = {n: v for n, v in state.items() if not n.startswith("layer4.1.bn")}
    path = saved(tmp_path / "w.safetensors", partial)
    gone = [n for n in state if n.startswith("layer4.1.bn")]
    with pytest.raises(UserError, match=f"w.safetensors does not fit.*missing: {', '.join(gone)}[.]"):
        load_weights(create_model("resnet18", 1000), path)
    report = load_weights(create_model("resnet18", 1000), path, allow_fresh=["layer4.*"])
    assert report.fresh == gone
    needed = [name for name in state if name.startswith("layer1")]
    load_weights(create_model("resnet18", 1000), path, needed=needed)


def test_unexpected_and_misshapen_parameters_are_named(state, tmp_path):
    arrays = {**state, "bn1.gamma": np.ones(3, np.float32), "layer5.weight": np.ones(1, np.float32)}
    path = saved(tmp_path / "w.safetensors", arrays)
    with pytest.raises(
        UserError,
        match=r"of another shape: bn1.gamma \(3,\) instead of \(64,\); unexpected: layer5.weight",
    ):
        load_weights(create_model("resnet18", 2), path)


def test_weights_of_another_network_are_refused(state, tmp_path):
    path = saved(tmp_path / "w.safetensors", state)
    with pytest.raises(UserError, match="is of another network: none of its parameters fits"):
        load_weights(create_model("mobilenet_v2", 2), path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.ckpt"])
def test_a_torn_checkpoint_is_named(state, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(saved(tmp_path / "whole.safetensors", state).read_bytes()[:1000])
    with pytest.raises(UserError, match=f"{name} is not a readable checkpoint"):
        load_weights(create_model("resnet18", 2), path)


# An empty name without a value, which MindSpore reads as a list; a checkpoint of a text alone.
@pytest.mark.parametrize("content", [b"\x0a\x00", None])
def test_a_file_of_mindspore_without_parameters_is_refused(tmp_path, content):
    path = tmp_path / "w.ckpt"
    ms.save_checkpoint([], str(path), append_dict={"note": "none"})
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="w.ckpt is not a readable checkpoint: it holds no parameters"):
        read_checkpoint(path)


def test_texts_in_a_file_of_mindspore_are_passed_over(tmp_path):
    path = tmp_path / "w.ckpt"
    weight = {"name": "w", "data": Tensor(np.arange(3, dtype=np.float32))}
    ms.save_checkpoint([weight], str(path), append_dict={"note": "best"})
    assert {name: value.tolist() for name, value in read_checkpoint(path).items()} == {"w": [0, 1, 2]}


@pytest.mark.parametrize("content", [b"", b"\x80\x02"])
def test_a_torn_file_of_torch_is_named_though_torch_gives_no_reason(tmp_path, content):
    pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match="w.pth is not a readable checkpoint: EOFError"):
        read_checkpoint(tmp_path / "w.pth")


def test_numbers_that_numpy_does_not_know_are_named(tmp_path):
    header = b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x80\x3f")
    with pytest.raises(UserError, match="w.safetensors is not a readable checkpoint: .*bfloat16"):
        read_checkpoint(path)


def test_stem_is_summed_only_for_grey_images():
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    assert np.array_equal(adapt_stem(weight, 3), weight)
    assert np.array_equal(adapt_stem(weight, 1), weight[:, :1] + weight[:, 1:2] + weight[:, 2:])


def test_state_of_another_network_is_refused(state):
    with pytest.raises(UserError, match="weights are of another network"):
        set_state(create_model("mobilenet_v2", 2), state)


def test_an_optimiser_still_reaches_a_parameter_that_was_assigned():
    net = nn.Dense(2, 1)
    optimizer = nn.Adam(net.trainable_params(), 0.1)
    gradients = tuple(Tensor(np.ones(p.shape, np.float32)) for p in net.trainable_params())
    optimizer(gradients)
    assign(net.weight, np.zeros((1, 2), np.float32))
    optimizer(gradients)
    np.testing.assert_allclose(net.weight.asnumpy(), [[-0.1, -0.1]], atol=1e-4)


def test_weights_are_found_in_folders_before_anything_is_downloaded(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "b" / "resnet18_imagenet_x.safetensors").touch()
    found = find_weights("imagenet", "resnet18", [tmp_path / "a", tmp_path / "b"])
    assert found == tmp_path / "b" / "resnet18_imagenet_x.safetensors"
    with pytest.raises(UserError, match="nowhere.ckpt does not exist"):
        find_weights("nowhere.ckpt", "resnet18", [])


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch):
    # A port that nobody listens on: the refusal is real, and quick.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(UserError, match="no ImageNet weights of resnet18 in .*model.weights_dirs"):
        find_weights("imagenet", "resnet18", [tmp_path])
    assert list(tmp_path.iterdir()) == []


class Range(http.server.SimpleHTTPRequestHandler):
    """Serves bytes, whole or from where the client stopped; may break off half-way, once."""

    content = bytes(range(256)) * 400
    break_off = False
    requests = 0

    def do_GET(self):
        Range.requests += 1
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.content) - begin))
        self.end_headers()
        end = len(self.content) // 2 if Range.break_off else None
        Range.break_off = False
        self.wfile.write(self.content[begin:end])

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def url(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.HTTPServer(("127.0.0.1", 0), Range)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.ckpt"
    server.shutdown()
    server.server_close()


def test_a_broken_download_goes_on_where_it_stopped(url, tmp_path):
    Range.break_off = True
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        fetch(url, tmp_path / "x.part")
    assert (tmp_path / "x.part").stat().st_size == len(Range.content) // 2
    fetch(url, tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == Range.content


def test_two_who_want_the_same_weights_download_them_once(url, tmp_path):
    Range.requests = 0
    target = tmp_path / "new" / "resnet18_imagenet-x.ckpt"
    threads = [threading.Thread(target=obtain, args=(url, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Range.requests == 1
    assert target.read_bytes() == Range.content
    assert list(target.parent.iterdir()) == [target]


def test_a_damaged_download_is_removed(tmp_path):
    part = tmp_path / "x.part"
    part.write_bytes(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()[:8]
    check_download(part, f"resnet18-{good}.ckpt")
    with pytest.raises(UserError, match="resnet18-00000000.ckpt: the download is damaged"):
        check_download(part, "resnet18-00000000.ckpt")
    assert not part.exists()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real weights of ../shared are not here")
def test_real_weights_fit():
    net = create_model("mobilenet_v2", 2, 1)
    path = SHARED / "mobilenet_v2_imagenet_torchvision_names.safetensors"
    assert load_weights(net, path).fresh == ["classifier.1.weight", "classifier.1.bias"]
    path = SHARED / "resnet18_imagenet_upto_layer3_torchvision_names.safetensors"
    report = load_weights(create_model("resnet18", 2, 1), path, allow_fresh=["layer4.*"])
    assert {name.split(".")[0] for name in report.fresh} == {"layer4", "classifier"}
    assert sum(load_file(path)["layer3.1.bn2.weight"] != 0) > 0


def test_widths_have_weights_of_their_own(tmp_path):
    for name in ("mobilenet_v2", "mobilenet_v2_075"):
        (tmp_path / f"{name}_imagenet.safetensors").touch()
    found = find_weights("imagenet", "mobilenet_v2", [tmp_path], {"width": 0.75})
    assert found.name == "mobilenet_v2_075_imagenet.safetensors"
    assert find_weights("imagenet", "mobilenet_v2", [tmp_path]).stem == "mobilenet_v2_imagenet"
    with pytest.raises(
        UserError, match="no ImageNet weights of mobilenet_v2 with width 0.7, only of 0.75"
    ):
        find_weights("imagenet", "mobilenet_v2", [tmp_path], {"width": 0.7})
