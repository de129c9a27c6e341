"""The HTML report: sections, figures and the page made of them. It reads the run folder only."""
