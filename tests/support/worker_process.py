"""A real worker in a process of its own: `python worker_process.py BROKER DATABASE SETTINGS`.

Images can provoke failures here: the decoder looks for one of the words below in the bytes of an image and crashes, hangs or
fails as it says, as a damaged native library would.
"""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from smearcount.db.settings import DatabaseSettings
from smearcount.models.preprocessing import Pixels, decode_cell
from smearcount.models.settings import ModelSettings
from smearcount.worker import pipeline
from smearcount.worker import settings as worker_settings
from smearcount.worker.service import run_worker
from smearcount.worker.settings import WorkerSettings

KILLS = b"trouble-kills"
EXITS = b"trouble-exits"
HANGS = b"trouble-hangs"
#: Takes half a second, so that a test can find a batch under way.
SLOW = b"trouble-slow"
RAISES = b"trouble-raises"


def decode_with_trouble(data: bytes) -> Pixels:
    """Decode, or fail in the way that the bytes of the image name."""
    if KILLS in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if EXITS in data:
        os._exit(70)
    if HANGS in data:
        time.sleep(3600)
    if SLOW in data:
        time.sleep(0.5)
    if RAISES in data:
        raise RuntimeError("trouble")
    return decode_cell(data)


def main(broker_url: str, database_url: str, settings: str) -> NoReturn:
    """Work until a signal ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    vars(pipeline)["decode_cell"] = decode_with_trouble
    given = json.loads(settings)
    mounts = DatabaseSettings(mounts=given.pop("mounts")).mounted
    vars(worker_settings)["_LONGEST_PAUSE"] = given.pop("longest_pause", worker_settings._LONGEST_PAUSE)
    code = run_worker(
        WorkerSettings(**given), ModelSettings(), broker_url=broker_url, database_url=database_url, mounts=mounts
    )
    sys.exit(code)


if __name__ == "__main__":
    # Import the same modules as `smearcount worker`: take this file's folder off the path.
    sys.path.remove(str(Path(__file__).parent))
    main(*sys.argv[1:])
