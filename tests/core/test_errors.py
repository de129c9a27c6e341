"""How a command ends: exit code, and one line on stderr."""

import errno
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from mindspore_dpus.core.errors import UserError, one_line_errors

TOOLS = Path(__file__).parents[2] / "tools"


def end(result=None, error=None):
    """What a wrapped command returns that returns this, or raises it."""

    @one_line_errors
    def command():
        if error is not None:
            raise error
        return result

    return command()


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_success_is_quiet(capsys, result, code):
    assert end(result) == code
    assert capsys.readouterr() == ("", "")


def test_a_user_error_is_one_line_and_exit_code_two(capsys):
    assert end(error=UserError("seed is x:\n  it must be\n\n a number")) == 2
    assert capsys.readouterr() == ("", "error: seed is x: it must be a number\n")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "ask for the right"),
        (errno.EROFS, "ask for the right"),
    ],
)
def test_a_disk_error_is_one_line_that_names_the_file(capsys, code, advice):
    assert end(error=OSError(code, "the reason", "runs/x/best.npy")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"error: runs/x/best.npy: the reason; {advice}")


def test_a_disk_that_is_really_full_is_one_line(capsys, small_disk):
    @one_line_errors
    def command():
        (small_disk / "big").write_bytes(bytes(100_000))

    assert command() == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "No space left on device" in err
    assert err.count("\n") == 1


def test_an_interrupt_says_how_to_go_on(capsys):
    assert end(error=KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted: start the same command again to go on\n"


def test_sigterm_says_how_to_go_on_and_is_left_as_it_was(capsys):
    @one_line_errors
    def command():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    assert command() == 143
    assert capsys.readouterr().err == "terminated: start the same command again to go on\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_sigterm_stays_ignored():
    @one_line_errors
    def command():
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert command() == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_may_run_a_command():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(end(result=3)))
    thread.start()
    thread.join()
    assert codes == [3]


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EIO, "broken disk")])
def test_other_errors_are_not_hidden(error):
    with pytest.raises(type(error)):
        end(error=error)


def test_the_command_keeps_its_name():
    @one_line_errors
    def main():
        """Words."""

    assert (main.__name__, main.__doc__) == ("main", "Words.")


@pytest.mark.parametrize(
    ("tool", "args", "message"),
    [
        ("train", ["--system=classification", "--nonsense", "3"], "--nonsense"),
        (
            "train",
            ["--system=classification", "--data.root", "x", "--training.epochs", "0"],
            "training.epochs is 0",
        ),
        ("train", [], "system is missing"),
        ("train", ["--system=classification"], "data.root is missing"),
        ("evaluate", ["--run", "nowhere"], "nowhere is no run folder"),
        ("evaluate", [], "--run"),
        ("predict", ["--run", "nowhere", "image.png"], "nowhere is no run folder"),
        ("predict", ["--run", "nowhere"], "nowhere is no run folder"),
        ("simulate", ["--size", "32"], "--system"),
        ("simulate", ["--system=classification", "--size", "32"], "output"),
    ],
)
def test_a_wrong_call_of_a_tool_is_one_line(capsys, monkeypatch, tmp_path, tool, args, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{tool}.py", *args])
    main = runpy.run_path(str(TOOLS / f"{tool}.py"), run_name="tool")["main"]
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
