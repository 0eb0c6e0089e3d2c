"""docker-compose.yml as processes: each service's own command and environment, on a real PostgreSQL and Valkey.

Host names and the mount point are those of this machine; everything else is as the file has it.
"""

from pathlib import Path

import yaml
from exports import drop, exports
from running import Smearcount
from waiting import wait_until

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())


def test_the_services_count_together(smearcount: Smearcount, inbox: Path, broker_url: str, postgresql_url: str) -> None:
    services = COMPOSE["services"]
    assert services.keys() == {"valkey", "postgres", "watcher", "worker"}
    here = {"SMEARCOUNT_DATABASE_URL": postgresql_url, "SMEARCOUNT_BROKER_URL": broker_url}
    files = exports(slides=3, cells=50)
    drop(inbox, files)
    for name in ("watcher", "worker", "worker"):
        service = services[name]
        assert here.keys() <= service["environment"].keys()
        smearcount.environment = {**service["environment"], "SMEARCOUNT_INBOX_NAME": "inbox", **here}
        smearcount.start(*(str(inbox) if word == "/inbox" else word for word in service["command"]))
    wait_until(lambda: smearcount.is_counted(len(files)), 100, what="all images")
    assert [slide["inbox"] for slide in smearcount.json("slides")] == ["inbox"] * 3
