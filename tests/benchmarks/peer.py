"""What people write first: one Celery task per image, full decode, resize, Keras `predict`, one commit per image.

Nothing here is slow on purpose: it combines what the tutorials of Celery, Keras and SQLAlchemy show. The network is the seed
network (see `models.training.seed_network`) with random weights, which cost the same. The worker is warm and the network
loaded before the clock starts.
"""

# ruff: noqa: PLC0415  (TensorFlow is loaded where the work is done: after the fork)

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import celery
from PIL import Image
from sqlalchemy import Float, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.pipeline import BenchmarkFailed

#: Side of the seed network's images in pixels.
SIDE = 300

BROKER, DATABASE = "SMEARCOUNT_PEER_BROKER", "SMEARCOUNT_PEER_DATABASE"

application = celery.Celery("peer", broker=os.environ.get(BROKER, ""), set_as_current=False)
application.conf.task_ignore_result = True
application.conf.worker_enable_remote_control = False


class Base(DeclarativeBase):
    """Base of the peer's one table."""


class Result(Base):
    """A classified image."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String)
    cell_class: Mapped[int]
    confidence: Mapped[float] = mapped_column(Float)
    at: Mapped[float] = mapped_column(Float)


_loaded: dict[str, Any] = {}


def _network() -> Any:
    if not _loaded:
        from smearcount.models.training.seed_network import build_seed_network

        _loaded["network"] = build_seed_network()
        _loaded["engine"] = create_engine(os.environ[DATABASE])
    return _loaded["network"]


def _classify(path: str) -> None:
    """Classify one image and store the result."""
    import numpy as np

    network = _network()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32)
    logits = network.predict(pixels[np.newaxis], verbose=0)[0]
    powers = np.exp(logits - logits.max())
    with Session(_loaded["engine"]) as session:
        session.add(
            Result(
                path=path,
                cell_class=int(logits.argmax()),
                confidence=float(powers.max() / powers.sum()),
                at=time.time(),
            )
        )
        session.commit()


classify = application.task(_classify, name="peer.classify")


def images_per_second(cells: Sequence[Path], *, broker_url: str, scratch: Path, workers: int, warm_up: int) -> float:
    """Return the throughput on `cells`, after `warm_up` others that load the network in every worker.

    Raises:
        BenchmarkFailed: The worker does not finish.
    """
    url = f"sqlite:///{scratch / 'peer.db'}"
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    words = ["-m", "celery", "-A", "benchmarks.peer", "worker", "--concurrency", str(workers), "--loglevel", "WARNING"]
    with (scratch / "peer.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, *words, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=Path(__file__).parents[1],
            env={**os.environ, BROKER: broker_url, DATABASE: url, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        application.conf.broker_url = broker_url
        _send(cells[:warm_up])
        _wait(engine, worker, warm_up)
        start = time.time()
        _send(cells)
        _wait(engine, worker, warm_up + len(cells))
        with engine.connect() as connection:
            return len(cells) / (connection.execute(select(func.max(Result.at))).scalar_one() - start)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()
        engine.dispose()


def _send(cells: Sequence[Path]) -> None:
    with application.connection_for_write() as connection:
        for path in cells:
            classify.apply_async([str(path)], connection=connection)


def _wait(engine: Any, worker: subprocess.Popen[bytes], results: int) -> None:
    patience = time.monotonic() + 60 + results
    while True:
        with engine.connect() as connection:
            if connection.execute(select(func.count()).select_from(Result)).scalar_one() >= results:
                return
        if worker.poll() is not None or time.monotonic() > patience:
            raise BenchmarkFailed("the peer's worker did not do its work")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit("this is part of a benchmark; run: make bench")
