"""`smearcount up`: all processes on one machine."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError, ExitCode, ExitWith
from smearcount.cli.local.instance_lock import lock_data_folder
from smearcount.cli.local.supervision import Broker, Child, Supervisor
from smearcount.cli.logs import cut_logs
from smearcount.cli.signals import interrupt_on_sigterm, outlive_terminal
from smearcount.cli.site import Site
from smearcount.cli.startup import open_site
from smearcount.cli.variables import variable
from smearcount.cli.views.console import print_message
from smearcount.cli.views.outputs import drop_lost_results
from smearcount.cli.views.progress import ProgressView
from smearcount.db.migration import migrate
from smearcount.differential.tally import CallsAsked
from smearcount.models.card import check_model
from smearcount.watcher.layout import Layout
from smearcount.web.auth.launch import new_token, with_token
from smearcount.web.server.sockets import address, free_port

_ROUND_SECONDS = 0.25
#: Between two looks at how large the logs are.
_CUT_SECONDS = 5.0


@click.command()
@click.argument("inbox", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Count what is there, print the slides and exit.")
@click.option(
    "--demo", is_flag=True, help="Make INBOX if it is missing, and put demo slides there if it was never used."
)
@click.option(
    "--web/--no-web", default=None, help="Serve the pages on which slides are reviewed, or not.  [env: SMEARCOUNT_WEB]"
)
@options.calls
@options.port
@options.workers
@options.poll
@options.data
@options.database
@options.broker
def up(
    inbox: Path,
    once: bool,
    demo: bool,
    web: bool | None,
    calls: str,
    web_port: int | None,
    workers: int | None,
    poll: bool | None,
    data: Path | None,
    database_url: str | None,
    broker_url: str | None,
) -> None:
    """Watch INBOX and count what arrives: broker, database, workers, watcher and web server on this machine.

    Every folder in INBOX is a slide, every image in it a cell. Each slide's differential is printed as it completes; on the
    pages at the printed address the cells are seen and reviewed. Signed results go to the systems that
    SMEARCOUNT_DESTINATIONS names. Ctrl-C ends everything; nothing is lost, the next start goes on where this one ended.

    With --once it ends by itself: exit code 0, or 3 if some files could not be counted; those are listed with the reason.
    """
    interrupt_on_sigterm()
    outlive_terminal()
    if not once:
        # Nobody may read what is printed, and the counting goes on.
        drop_lost_results()
    site = open_site(
        data=data,
        database_url=database_url,
        broker_url=broker_url,
        workers=workers,
        poll=poll,
        web=web,
        web_port=web_port,
    )
    Layout(site.watcher.pattern)
    check_model(site.models)
    with lock_data_folder(site.data, inbox), site.database as database:
        migrate(database)
        if demo:
            from smearcount.cli.demo import place_demo_slides  # noqa: PLC0415 (loads what draws cells)

            place_demo_slides(inbox, database, site.watcher, site.data / "demo.truth.csv")
        if not inbox.is_dir():
            raise CommandError(f"the inbox {inbox} does not exist; make the folder, or name another one")
        served_at = None if once or not site.web.web else _find_address(site)
        launch_token = site.web.web_launch_token.get_secret_value() or new_token()
        supervisor = _supervisor(site, inbox, served_at, launch_token, delivers=not once)
        view = ProgressView(database, site, inbox, once=once, calls=CallsAsked(calls))
        print_message(
            f"watching {inbox}; data in {site.data}; Ctrl-C ends" if not once else f"counting what is in {inbox}"
        )
        if served_at is not None:
            url = with_token(served_at.url, launch_token) if site.is_web_open else served_at.url
            print_message(f"slides are shown and reviewed at {url}")
        started_at = datetime.now(UTC)
        interrupted = False
        try:
            supervisor.start()
            with view:
                logs = _Logs(site.data / "logs")
                while not (once and view.is_everything_counted_since(started_at)):
                    for message in supervisor.keep_alive():
                        view.print_message(message)
                    logs.cut_when_due()
                    view.update()
                    time.sleep(_ROUND_SECONDS)
        except KeyboardInterrupt:
            print_message("ending; the batches under way are finished first ...")
            interrupted = True
        finally:
            supervisor.stop()
        if interrupted:
            print_message("ended; nothing is lost, the next start goes on from here")
            raise ExitWith(ExitCode.INTERRUPTED)
        quarantined = view.print_result()
    if quarantined:
        raise ExitWith(ExitCode.QUARANTINED)


class _Logs:
    """Cuts the logs of the parts while they are written, now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cut_at = 0.0

    def cut_when_due(self) -> None:
        if time.monotonic() >= self._cut_at:
            cut_logs(self._folder)
            self._cut_at = time.monotonic() + _CUT_SECONDS


@dataclass(frozen=True)
class _Address:
    port: int
    url: str


def _find_address(site: Site) -> _Address:
    settings = site.web
    # If nobody has asked for a port, take another one where the usual one is taken: a second installation on this machine
    # must be able to count.
    port = free_port(settings.web_host, settings.web_port, may_differ="web_port" not in settings.model_fields_set)
    return _Address(port, address(settings.web_host, port))


def _supervisor(
    site: Site, inbox: Path, served_at: _Address | None, launch_token: str, *, delivers: bool
) -> Supervisor:
    logs = site.data / "logs"
    environment = site.environment()
    broker = [Broker(site.broker_folder, logs / "broker.log")] if site.has_own_broker else []
    web = [] if served_at is None else [
        Child(
            "web server",
            ["web", "--port", str(served_at.port)],
            {**environment, variable("web_launch_token"): launch_token},
            logs / "web.log",
        )
    ]  # fmt: skip
    worker = Child("worker", ["worker"], environment, logs / "worker.log")
    watcher = Child("watcher", ["watch", str(inbox)], environment, logs / "watcher.log")
    is_sending = delivers and site.delivery.is_sending
    sender = [Child("sender", ["deliver"], environment, logs / "deliver.log")] if is_sending else []
    return Supervisor(*broker, worker, watcher, *web, *sender)
