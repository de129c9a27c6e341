"""Does an export give the scores of its run? And where not, whose vectors are the reason."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.front_end import network_input
from mindspore_dpus.deploy.sound_scorer import SoundScorer
from mindspore_dpus.features.simple_sound import FEATURE_SETS

# How far an export may be from the run, and on how many clips they are compared.
TOLERANCE, CHECKED = 1e-4, 16


def check_scores(table: pd.DataFrame, root: Path, scorer: SoundScorer, exported: SoundScorer) -> float:
    """Largest difference of scores on some of the run's test clips.

    Args:
        table: the run's ``scores.csv``.
        root: the data root.
        scorer: the run.
        exported: what was exported of it.

    Returns:
        The largest difference, of scores above 1 as a share of the score.

    Raises:
        UserError: it is too large; the message says whose vectors are the reason, and what to do.
    """
    table = table[table["error"] == ""]
    places = np.unique(np.linspace(0, len(table) - 1, min(CHECKED, len(table))).astype(int))
    chosen, differences = table.iloc[places], []
    for row in chosen.itertuples():
        waveform = scorer.front.read(root / row.path)
        ours = scorer.score(waveform, row.machine, row.section).score
        theirs = exported.score(waveform, row.machine, row.section).score
        differences.append(abs(ours - theirs) / max(1.0, abs(ours)))
    # Not a number is the largest of all.
    worst = int(np.argmax(differences))
    largest = float(differences[worst])
    if largest <= TOLERANCE:
        return largest
    machine = chosen["machine"].iloc[worst]
    clips = [root / path for path in chosen.loc[chosen["machine"] == machine, "path"]]
    raise UserError(
        f"the export's scores differ from the run's by {largest:.1e} ({chosen['path'].iloc[worst]}); "
        f"nothing is written. {_reason(clips, machine, scorer, exported)}"
    )


def _reason(clips: list[Path], machine: str, scorer: SoundScorer, exported: SoundScorer) -> str:
    """Whose vectors of a machine the detectors of run and export see differently, in words."""
    inputs = np.concatenate([network_input(scorer.front(scorer.front.read(clip))) for clip in clips])
    found = []
    for network in dict.fromkeys(system.model.vectors for system in scorer.systems[machine]):
        if network in FEATURE_SETS:
            continue
        ours = scorer.embedder.embed(network, machine, inputs).astype(np.float64)
        theirs = exported.embedder.embed(network, machine, inputs).astype(np.float64)
        length = np.sqrt((ours**2).sum(axis=1).mean())
        spread = np.sqrt(((ours - ours.mean(axis=0)) ** 2).sum(axis=1).mean())
        difference = np.sqrt(((theirs - ours) ** 2).sum(axis=1).max())
        # For a network that gives zeros alone, any difference is beyond measure.
        share = difference / spread if spread else np.inf
        found.append((share, network, difference / max(length, 1e-30), spread / max(length, 1e-30)))
    if not found:
        return "Its vectors are statistics, without a network: please report this with the run's config.yaml"
    share, network, difference, spread = max(found, key=lambda one: np.nan_to_num(one[0], nan=np.inf))
    about = f"the embeddings of {network} for {machine}"
    if not difference <= TOLERANCE:
        return (
            f"The graph of {network} for {machine} gives other embeddings, by {difference:.1e} of their "
            "length: please report this network and MindSpore's version"
        )
    if share <= TOLERANCE:
        return f"{about[0].upper()}{about[1:]} agree to {difference:.1e}: please report this with config.yaml"
    return (
        f"Run and graph agree to {difference:.1e} of the length of {about}, but these hardly differ "
        f"from sound to sound (deviation {spread:.1e} of their length), so that detectors see rounding "
        "errors: the network has learnt too little. Train it longer (training.epochs), or leave it out of "
        "extractors.networks"
    )
