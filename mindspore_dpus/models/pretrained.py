"""Which checkpoint file a configuration names: searched on disk, else downloaded. No MindSpore here."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.errors import UserError
from mindspore_dpus.run import atomic

# mindcv's names of the networks that we define ourselves: whose published weights to take.
MINDCV_NAMES = {"mobilenet_v2": "mobilenet_v2_100"}


def find_weights(pretrained: str, backbone: str, weights_dirs: Sequence[str | Path]) -> Path:
    """Find the checkpoint file that a configuration names, downloading it if need be.

    Args:
        pretrained: ``imagenet``, or a file.
        backbone: whose ImageNet weights.
        weights_dirs: folders searched for ``{backbone}_imagenet*``; a download goes into the first.

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
    for folder in weights_dirs:
        for pattern in ("safetensors", "ckpt"):
            found = sorted(Path(folder).glob(f"{backbone}_imagenet*.{pattern}"))
            if found:
                return found[0]
    return _download(backbone, Path(weights_dirs[0]) if weights_dirs else Path("weights"))


def _download(backbone: str, folder: Path) -> Path:
    # Imported late: mindcv takes a second, and weights on disk do not need it.
    import mindcv  # noqa: F401  (fills the registry)
    from mindcv.models.registry import get_pretrained_cfg

    url = get_pretrained_cfg(MINDCV_NAMES.get(backbone, backbone)).get("url")
    if not url:
        raise UserError(f"mindcv publishes no ImageNet weights of {backbone}: give a checkpoint file")
    target = folder / f"{backbone}_imagenet.ckpt"
    print(f"downloading {url} -> {target}")
    try:
        with urllib.request.urlopen(url, timeout=60) as response, atomic(target) as temporary:
            length = response.length
            data = response.read()
            if length and len(data) != length:
                raise UserError(f"{url}: the download broke off; start again")
            temporary.write_bytes(data)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"no ImageNet weights of {backbone} in {folder}, and {url} cannot be reached "
            f"({getattr(error, 'reason', error)}): download it elsewhere, put it there as "
            f"{target.name}, or name a folder with --model.weights_dirs or a file with "
            "--model.pretrained / --features.pretrained"
        ) from None
    return target


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
