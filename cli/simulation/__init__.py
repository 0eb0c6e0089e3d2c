"""Exports to practise with: folders that look like an analyzer's, from real labelled cells or from drawn ones."""
