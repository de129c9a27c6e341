"""What happens where MindSpore's oneDNN cannot be used."""

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.kernels.onednn import library


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A file in place of the library."""
    path = tmp_path / "libdnnl.so.3"
    path.write_bytes(b"no library")
    monkeypatch.setattr(library, "_mindspores_own", lambda: path)
    library.one_dnn.cache_clear()
    yield path
    library.one_dnn.cache_clear()


def test_the_log_says_why_once(broken, monkeypatch, caplog):
    monkeypatch.setattr(library, "are_convolutions_slow", lambda: False)
    with caplog.at_level("WARNING"):
        assert library.one_dnn() is None
        assert library.one_dnn() is None
    (line,) = caplog.messages
    assert "oneDNN cannot be used" in line
    assert str(broken) in line


def test_a_mindspore_that_is_slow_without_it_is_refused(broken, monkeypatch):
    monkeypatch.setattr(library, "are_convolutions_slow", lambda: True)
    with pytest.raises(UserError, match="100 times slower.*pip install 'mindspore>=2.7,<2.9'") as caught:
        library.one_dnn()
    assert str(broken) in str(caught.value)
