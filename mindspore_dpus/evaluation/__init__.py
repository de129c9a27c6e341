"""From predictions to metrics (without MindSpore) and to a report that reads the run folder only."""
