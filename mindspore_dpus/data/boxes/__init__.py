"""Boxes in frames: arithmetic on arrays of corners."""
