"""One file per claim; each reads the study's shared runs and returns a block of figures."""
