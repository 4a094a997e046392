"""What claims and the report share to show figures: charts, theme, tables, words, escaping."""
