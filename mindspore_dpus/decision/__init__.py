"""From scores to decisions: thresholds, calibration, costs, probability of detection."""
