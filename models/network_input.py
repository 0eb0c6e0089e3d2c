"""What the network sees of a cell: the size of its pixels and the version of how they are made.

These stand apart from `models.preprocessing`, which makes the pixels: who only checks a model card need not load what decodes
images.
"""

#: Stored with every result. `models.preprocessing` says when it changes.
PREPROCESSING_VERSION = "half-128-v1"

#: Side of the square the network sees, in pixels of the half-size image.
INPUT_SIDE = 128
