"""Look for duplicates, leaks and odd files in a data set: python tools/audit.py --data.root FOLDER

Exit code 0: no errors (perhaps warnings); 1: errors, such as equal images in two splits, or a
set that training would refuse; 2: bad input.
"""

from collections.abc import Sequence
from dataclasses import fields

from mindspore_dpus.core.configuration import parse_sections
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.core.settings import check_section
from mindspore_dpus.data.images.preparing import ImageSettings, check_images
from mindspore_dpus.data.settings import AuditSettings, DataSettings, SplitSettings
from mindspore_dpus.decision.settings import DecisionSettings
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.systems.classification.audit_stage import audit_folder, audit_lines


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/audit.py``, ``mindspore-dpus audit``."""
    sections = {
        "data": DataSettings,
        "images": ImageSettings,
        "split": SplitSettings,
        "audit": AuditSettings,
        "sampling": SamplingSettings,
        "decision": DecisionSettings,
    }
    # Of these, what says whether a set can be learnt from.
    kept = {"sampling": {"strategy", "proportion", "baseline"}, "decision": {"size_columns"}}
    skip = {name: {f.name for f in fields(sections[name])} - keys for name, keys in kept.items()}
    options = {"output": (str | None, None, "Folder for audit.csv.")}
    values = parse_sections(sections, args, __doc__, options, {"audit": {"enabled"}, **skip})
    data, images, split, thresholds, sampling, decision = (values[name] for name in sections)
    for name in sections:
        check_section(values[name], f"{name}.")
    check_images(images)
    if data.root is None:
        raise UserError("configuration: data.root is missing; give the folder of your images")
    findings = audit_folder(
        data, thresholds, images, values["output"], split, sampling, decision.size_columns
    )
    print("\n".join(audit_lines(findings)))
    return int((findings["severity"] == "error").any())
