"""The classifiers: our own Cells for the paper's two networks, mindcv's zoo for all others."""
