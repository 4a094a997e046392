"""The training curve of a run: its log, its figure and its tables."""
