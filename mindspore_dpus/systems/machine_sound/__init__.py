"""Anomalous machine sound: from clips to anomaly scores, and the challenge's files."""
