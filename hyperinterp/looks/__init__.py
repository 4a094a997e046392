"""Measurements without a verdict, made when they are asked for: one folder each."""
