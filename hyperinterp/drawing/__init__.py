"""Drawing for claims and report: charts, theme, tables, words, escaping."""
