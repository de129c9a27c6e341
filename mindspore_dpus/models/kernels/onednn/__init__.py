"""oneDNN through its C interface: convolutions on blocked layouts, which MindSpore does not use."""
