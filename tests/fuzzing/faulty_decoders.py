"""Decoders with the faults that fuzzing must notice; in a module of their own, since the child imports them."""

import os
import random
import time

from smearcount.models.errors import ImageRefused


def crash_on_the_tenth(data: bytes) -> None:
    if random.Random(data).randrange(10) == 0:
        os.abort()
    raise ImageRefused("damaged", "spoiled")


def hang_on_some(data: bytes) -> None:
    if random.Random(data).randrange(10) == 0:
        time.sleep(600)


def raise_on_some(data: bytes) -> None:
    if random.Random(data).randrange(10) == 0:
        raise IndexError("out of reach")


def swell(_data: bytes) -> None:
    bytearray(200 * 1024 * 1024)
