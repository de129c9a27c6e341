"""The stages from a sample table to a fused, evaluated ensemble of classifiers."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mindspore_dpus.core.files import file_hash
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.stages import Stage
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.source import Source
from mindspore_dpus.features.settings import FeatureSettings
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.models.pretrained import weights_file
from mindspore_dpus.sampling.settings import STRATEGIES, SamplingSettings
from mindspore_dpus.stages.diagnose import make_cluster_range, make_diagnostics
from mindspore_dpus.stages.features import make_features
from mindspore_dpus.stages.member_stages import (
    ClassifierTraining,
    check_members,
    make_lr_range,
    make_members,
    member_artefacts,
)
from mindspore_dpus.stages.prediction_stages import make_metrics, make_predictions, metrics_artefacts
from mindspore_dpus.stages.subsets import check_draws, make_subsets


@dataclass(frozen=True)
class ClassifierStages:
    """What the stages are made of; a system fills it from its configuration.

    Args:
        run: the run folder.
        source: where samples lie and how they are read.
        features, sampling, evaluation: the sections.
        classifier: the sections of the members.
        positive: the positive of two classes.
        majority: the one that is drawn from.
        seed: of the run.
        folder: of the artefacts, relative to the run folder, for a system of several classifiers; also
            the prefix of the stages' names.
        samples: name of the stage that writes ``samples.csv``.
        after: stages that must have passed before anything is computed.
        announce: tells other devices (``training.members.train_members``).
    """

    run: RunFolder
    source: Source
    features: FeatureSettings
    sampling: SamplingSettings
    classifier: ClassifierTraining
    evaluation: EvaluationSettings
    positive: str
    majority: str
    seed: int
    folder: str = ""
    samples: str = "samples"
    after: tuple[str, ...] = ()
    announce: object = None

    @property
    def place(self) -> Path:
        """Folder of the artefacts."""
        return self.run / self.folder

    def name(self, stage: str) -> str:
        """What a stage is called in the graph."""
        return f"{self.folder}.{stage}" if self.folder else stage

    def stages(self) -> list[Stage]:
        """features (where the strategy needs them), cluster_range, subsets, diagnostics, lr_range,
        members, predictions, metrics."""
        row = STRATEGIES[self.sampling.strategy]
        clustered = row.needs_features
        rate_is_found = self.classifier.training.learning_rate == "auto"
        members_after = [*([] if not rate_is_found else ["lr_range"])]
        found = [self._features(), self._cluster_range()] if clustered else []
        found.append(self._subsets(clustered))
        if clustered:
            found.append(
                self._stage(
                    "diagnostics",
                    lambda key: make_diagnostics(self.place, self.seed),
                    ("diagnostics.csv", "embedding.csv"),
                    ["subsets", "features"],
                    [self.seed],
                )
            )
        classifier, place, source = self.classifier, self.place, self.source
        found.append(
            self._stage(
                "lr_range",
                lambda key: make_lr_range(place, source, classifier, key),
                ("lr_range.csv", "lr_range.svg"),
                ["subsets"],
                # Whatever rate is asked for: it finds one.
                lambda: replace(
                    classifier, training=replace(classifier.training, learning_rate="auto")
                ).settings(),
                on_request=not rate_is_found,
            )
        )
        found.append(
            self._stage(
                "members",
                lambda key: make_members(place, source, classifier, key, self.announce),
                lambda: self._below(member_artefacts(place)),
                ["subsets", *members_after],
                classifier.settings,
                check=partial(check_members, place, source, classifier, self.sampling.n_subsets),
            )
        )
        evaluation = self.evaluation
        found.append(
            self._stage(
                "predictions",
                lambda key: make_predictions(
                    *(place, source, classifier, self.positive, evaluation.threshold),
                    self.run.finished(self.name("members"))["key"],
                ),
                ("predictions_val.csv", "predictions_test.csv"),
                ["members"],
                [evaluation.threshold],
            )
        )
        found.append(
            self._stage(
                "metrics",
                lambda key: make_metrics(place, self.positive, evaluation, self.seed),
                lambda: self._below(metrics_artefacts(place)),
                ["predictions"],
                [results(evaluation), self.seed],
            )
        )
        return found

    def _features(self) -> Stage:
        features, device = self.features, self.classifier.device
        dirs = self.classifier.model.weights_dirs

        def weights() -> Path | None:
            return weights_file(features.pretrained, features.backbone, dirs)

        def settings() -> list:
            file = weights()
            return [results(features), file_hash(file) if file else None, self.seed]

        def make(key: str) -> None:
            make_features(self.place, self.source, features, weights(), device, self.seed)

        return self._stage("features", make, ("features.npz",), [], settings)

    def _cluster_range(self) -> Stage:
        sampling = self.sampling
        return self._stage(
            "cluster_range",
            lambda key: make_cluster_range(self.place, sampling, self.seed),
            ("cluster_range.csv", "cluster_range.svg"),
            ["features"],
            [list(sampling.cluster_range), sampling.proportion, self.seed],
            on_request=True,
        )

    def _subsets(self, clustered: bool) -> Stage:
        return self._stage(
            "subsets",
            lambda key: make_subsets(self.place, self.sampling, self.seed),
            ("subsets.csv", *(("clusters.csv",) if clustered else ())),
            ["features"] if clustered else [],
            [results(self.sampling), self.seed],
            check=self._check_draws,
        )

    def _check_draws(self) -> None:
        check_draws(read_table(self.place / "samples.csv"), self.sampling, self.majority)

    def _stage(self, name: str, make, artefacts, needs: list[str], settings, **more) -> Stage:
        """A stage of this folder; each needs the samples."""
        if not callable(artefacts):
            artefacts = self._below(artefacts)
        return Stage(
            self.name(name),
            make,
            (self.samples, *(self.name(need) for need in needs)),
            self.after,
            settings,
            artefacts,
            check_after=(self.samples,),
            **more,
        )

    def _below(self, artefacts) -> list[str]:
        """Files of this folder, relative to the run folder."""
        return [f"{self.folder}/{name}" if self.folder else name for name in artefacts]
