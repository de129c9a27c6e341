"""Stages that several systems are made of: each reads tables of a folder, does one thing, writes the next.

What a stage needs is handed in: the folder, where samples lie and how they are read, and its own sections
of the configuration.
"""
