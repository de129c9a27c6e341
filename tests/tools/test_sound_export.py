"""The benchmark's exported run of machine sound: it scores its clips, on one core."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmarking.parts import Settings, plan

pytest.importorskip("onnxruntime", reason="exports need it")
REPOSITORY = Path(__file__).parents[2]
AUDIO = {"rate": 8000, "high_hz": 3800, "mel_bands": 16, "segments": 2, "segment_seconds": 0.5}
# In a process of its own: it stays on one core.
MEASURED = """
import json, os, sys
from pathlib import Path
import numpy as np
from benchmarking.sound_export import sound_export
import onnxruntime
seen = {"threads": []}
def counted(*args, original=onnxruntime.InferenceSession, **keys):
    seen["threads"].append(args[1].intra_op_num_threads)
    return original(*args, **keys)
onnxruntime.InferenceSession = counted
options = {"width": 16, "n_blocks": 1, "n_heads": 2, "hidden": 16}
made = sound_export(Path(sys.argv[1]), "transformer", json.loads(sys.argv[2]), options, 1.0, 40)
made.call()
threads = [os.sched_getaffinity(int(name)) for name in os.listdir("/proc/self/task")]
print(json.dumps({**seen, "items": made.items, "mindspore": "mindspore" in sys.modules,
                  "cores": len(set().union(*threads))}))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds threads to cores")
def test_clips_are_scored_on_one_core_without_mindspore(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), json.dumps(AUDIO)],
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tools'}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"threads": [1], "items": 3, "mindspore": False, "cores": 1}
    assert {soundfile.info(path).duration for path in tmp_path.glob("*.wav")} == {1.0}
    with np.load(tmp_path / "model" / "detectors.npz") as arrays:
        assert (40, 128) in [arrays[name].shape for name in arrays]


def test_every_network_has_its_line_where_graphs_can_be_made():
    settings = Settings(224, 16, (2400,), "CPU", "onednn", with_torch=False, with_onnx=True)
    rows, _ = plan(["sound"], settings)
    found = [(row.name, row.unit, dict(row.ours.options)) for row in rows if "WAV" in row.name]
    assert found == [
        (f"WAV to score, exported {name}, one core", "x real time", {"network": name})
        for name in ("efficientnet_b0", "transformer", "conformer")
    ]
    without = Settings(224, 16, (2400,), "CPU", "onednn", with_torch=False, with_onnx=False)
    assert not any("WAV" in row.name for row in plan(["sound"], without)[0])
