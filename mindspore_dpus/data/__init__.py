"""From files to batches: samples, splits, images, cache, loader, simulated radiographs."""
