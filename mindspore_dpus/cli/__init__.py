"""The command line: the only room that knows flags, tools and exit codes."""
