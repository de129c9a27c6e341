"""Tables of text as Markdown and LaTeX."""

import shutil
import subprocess

import pandas as pd
import pytest

from mindspore_dpus.experiments.markup import latex, markdown

TABLE = pd.DataFrame({"a_b": ["A|3", "50 % & #1"], "c": ["10^-3 \\ {x} $ ~", "0.5 ± 0.1"]})


def test_markdown_keeps_its_columns():
    assert markdown(TABLE).splitlines() == [
        "| a_b | c |",
        "| --- | --- |",
        "| A\\|3 | 10^-3 \\ {x} $ ~ |",
        "| 50 % & #1 | 0.5 ± 0.1 |",
    ]


def test_latex_has_no_command_that_was_none():
    assert latex(TABLE).splitlines() == [
        r"\begin{tabular}{ll}",
        r"\toprule",
        r"a\_b & c \\",
        r"\midrule",
        r"A|3 & 10\textasciicircum{}-3 \textbackslash{} \{x\} \$ \textasciitilde{} \\",
        r"50 \% \& \#1 & 0.5 $\pm$ 0.1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(page + latex(TABLE) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]
