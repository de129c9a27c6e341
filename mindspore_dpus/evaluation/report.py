def write_report(run, root):
    (run/"report.html").write_text("x")
