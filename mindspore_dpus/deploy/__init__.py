"""Prediction: files in, rows out. Needs NumPy and OpenCV, and onnxruntime for exported graphs.

Nothing here imports MindSpore or what training needs besides: a PC on the line has none of it.
"""

from mindspore_dpus.deploy.predictor import OnnxPredictor
from mindspore_dpus.deploy.scoring import Scorer, score_files

__all__ = ["OnnxPredictor", "Scorer", "score_files"]
