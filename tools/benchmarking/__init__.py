"""What ``tools/benchmark.py`` measures: speed and memory of the product, beside torch where it is."""
