"""Metrics as text."""


def value_and_interval(metric: dict) -> tuple[str, str]:
    """``0.912`` and ``0.880 to 0.940``; ``n/a`` for an undefined one, and nothing for no interval."""
    if metric["value"] is None:
        return "n/a", ""
    low, high = metric.get("low"), metric.get("high")
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return f"{metric['value']:.3f}", interval
