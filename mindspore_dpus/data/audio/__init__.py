"""From sound files to arrays: reading, names, segments, log-mel spectrograms, streams, the audit."""
