"""Boxes in frames: arithmetic on arrays of corners (no pandas there), and tables and files of boxes.

The formats' table is :mod:`mindspore_dpus.data.boxes.registry`.
"""
