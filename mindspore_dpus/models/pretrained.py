"""Which checkpoint file a configuration names: searched on disk, else downloaded. No MindSpore here."""

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import file_hash, lock
from mindspore_dpus.models.widths import MINDCV_NAMES, published_name


def weights_file(
    pretrained: str | None,
    backbone: str,
    weights_dirs: Sequence[str | Path],
    options: Mapping[str, object] = MappingProxyType({}),
) -> Path | None:
    """As ``find_weights``; None for random weights."""
    return None if pretrained is None else find_weights(pretrained, backbone, weights_dirs, options)


def find_weights(
    pretrained: str,
    backbone: str,
    weights_dirs: Sequence[str | Path],
    options: Mapping[str, object] = MappingProxyType({}),
) -> Path:
    """Find the checkpoint file that a configuration names, downloading it if need be.

    Args:
        pretrained: ``imagenet``, or a file.
        backbone: whose ImageNet weights.
        weights_dirs: folders searched for ``{network}_imagenet*``; a download goes into the first. The
            network is the backbone; of MobileNetV2 with another width than 1, mindcv's name of it.
        options: of the backbone.

    Returns:
        An existing ``.safetensors`` or ``.ckpt`` file.

    Raises:
        UserError: no such file, and no way to download one.
    """
    if pretrained != "imagenet":
        path = Path(pretrained)
        if not path.is_file():
            raise UserError(f"pretrained: {path} does not exist; give a checkpoint file or imagenet")
        return path
    network = published_name(backbone, options)
    for folder in weights_dirs:
        for pattern in ("safetensors", "ckpt"):
            found = sorted(Path(folder).glob(f"{network}_imagenet*.{pattern}"))
            if found:
                return found[0]
    return _download(network, Path(weights_dirs[0]) if weights_dirs else Path("weights"))


def _download(backbone: str, folder: Path) -> Path:
    # Imported late: mindcv takes a second, and weights on disk do not need it.
    import mindcv  # noqa: F401  (fills the registry)
    from mindcv.models.registry import get_pretrained_cfg

    url = get_pretrained_cfg(MINDCV_NAMES.get(backbone, backbone)).get("url")
    if not url:
        raise UserError(f"mindcv publishes no ImageNet weights of {backbone}: give a checkpoint file")
    name = url.rpartition("/")[2]
    target = folder / f"{backbone}_imagenet-{name}"
    part = target.with_suffix(".part")
    print(f"downloading {url} -> {target}")
    try:
        obtain(url, target)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        kept = f"; what has come is kept in {part}" if part.exists() else ""
        raise UserError(
            f"no ImageNet weights of {backbone} in {folder}, and {url} cannot be reached "
            f"({getattr(error, 'reason', error)}){kept}: start again with a network, or download it "
            f"elsewhere and put it there as {target.name}, or name a folder with "
            "model.weights_dirs, or a file with model.pretrained or features.pretrained"
        ) from None
    return target


def obtain(url: str, target: Path) -> None:
    """Download a checkpoint, once: of several processes that want it, the others wait.

    Raises:
        UserError: the download is damaged.
        urllib.error.URLError, TimeoutError, ConnectionError: it broke off; the next call goes on.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        lock(folder, wait=True)
        if not target.exists():
            fetch(url, part)
            check_download(part, target.name)
            part.replace(target)
    finally:
        os.close(folder)


def fetch(url: str, part: Path) -> None:
    """Download into ``part``, going on from what is there.

    Raises:
        urllib.error.URLError, TimeoutError, ConnectionError: the download broke off; ``part`` holds what
            has come.
    """
    begin = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin:
            return  # Nothing is left to fetch.
        raise
    with response, open(part, "ab" if response.status == 206 else "wb") as file:
        shutil.copyfileobj(response, file)
        if response.length:
            raise ConnectionError("the connection broke off")


def check_download(part: Path, name: str) -> None:
    """Compare a file with the checksum in mindcv's file name: SHA-256, its first 8 digits.

    Raises:
        UserError: they differ; the file is removed.
    """
    match = re.search(r"-([0-9a-f]{8})\.ckpt$", name)
    if match and not file_hash(part).startswith(match[1]):
        part.unlink()
        raise UserError(f"{name}: the download is damaged (its SHA-256 is another); start again")
