"""Simulated exports: folders like those of an analyzer, made of real labelled cells or of drawn ones."""
