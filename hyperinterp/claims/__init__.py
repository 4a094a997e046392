"""The claims: one folder each, a list of them, and how a verdict is made."""
