"""oneDNN through its C interface: convolutions on blocked layouts, which MindSpore's own operators never use."""
