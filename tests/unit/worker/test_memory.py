"""A worker's memory from batch to batch."""

import subprocess
import sys

import pytest

_SCRIPT = """
import resource
import numpy as np
from smearcount.worker.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.stack([np.full((128, 128, 3), 1, np.uint8) for _ in range(53)])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
faults()  # takes what it will keep
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is changed elsewhere than on Linux")
def test_a_batch_uses_the_memory_of_the_one_before() -> None:
    said = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True).stdout
    before, after = map(int, said.split())

    assert after < before / 10
