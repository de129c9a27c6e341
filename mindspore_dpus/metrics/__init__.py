"""Metrics as pure functions of labels and scores, and their intervals. No MindSpore here."""
