"""Look for duplicates, leaks and odd files in a data set: python tools/audit.py --data.root FOLDER

Exit code 0: no errors (perhaps warnings); 1: errors, such as equal images in two splits; 2: bad input.
"""

import sys

from mindspore_dpus.core.configuration import parse_audit
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.classification.auditing import audit_folder, audit_lines


@one_line_errors
def main() -> int:
    data, thresholds, output = parse_audit(description=__doc__)
    findings = audit_folder(data, thresholds, output)
    print("\n".join(audit_lines(findings)))
    return int((findings["severity"] == "error").any())


if __name__ == "__main__":
    sys.exit(main())
