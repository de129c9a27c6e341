"""What every system stands on: the run folder, stages, configuration, device, processes, errors."""
