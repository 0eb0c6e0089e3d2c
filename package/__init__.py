"""Differential counts from the cell images that a digital blood-smear analyzer exports.

This file makes `smearcount` one regular package; the rooms (`smearcount.db`, `smearcount.watcher` ...) are the top-level
folders beside this one, and `pyproject.toml` maps them. Without it, `smearcount` would be a namespace package, and a folder of
that name where a process starts, such as a clone of this repository, would be read before the installed package.
"""
