"""Distribution-preserving under-sampling for imbalanced defect recognition, on MindSpore."""

import os
import sys

__version__ = "0.2.0"

# Read by MindSpore when it is imported: errors only. GLOG_v=2 in the environment shows its warnings.
os.environ.setdefault("GLOG_v", "3")

# Read when OpenMP is loaded, which ``import mindspore`` does: its threads would spin between two calls
# (models.kernels.loops) and keep MindSpore's from the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Read by OpenCV when it is imported: errors in a file are reported by a line of ours.
if "OPENCV_LOG_LEVEL" not in os.environ:
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    if "cv2" in sys.modules:  # imported before us
        sys.modules["cv2"].setLogLevel(0)
