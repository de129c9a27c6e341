"""The stages of a run: each reads files of the run folder, does one thing, writes the next file."""
