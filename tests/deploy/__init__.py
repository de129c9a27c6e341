"""Tests of prediction without MindSpore."""
