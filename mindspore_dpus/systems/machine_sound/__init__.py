"""Anomalous machine sounds: outlier exposure, then inlier models (Kuroyanagi et al. 2022)."""
