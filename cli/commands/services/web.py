"""`smearcount web`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import ExitCode, ExitWith
from smearcount.cli.local.readiness import report_ready
from smearcount.cli.logs import log_to_stderr
from smearcount.cli.signals import outlive_terminal
from smearcount.cli.startup import migrate_when_ready, open_site, warn_of_mounts
from smearcount.cli.views.console import print_message
from smearcount.cli.web_services import web_services
from smearcount.web.auth.launch import new_token, with_token
from smearcount.web.server.application import make_application
from smearcount.web.server.process import serve
from smearcount.web.settings import is_loopback


@click.command()
@click.option(
    "--host",
    "web_host",
    metavar="ADDRESS",
    help="Address to listen on; beyond this machine people must log in.  [env: SMEARCOUNT_WEB_HOST]",
)
@options.port
@options.users
@options.data
@options.database
@options.broker
def web(
    web_host: str | None,
    web_port: int | None,
    web_users: Path | None,
    data: Path | None,
    database_url: str | None,
    broker_url: str | None,
) -> None:
    """Serve the pages and the HTTP API, so that people see, question and correct slides in a browser.

    Without users it listens on this machine alone, answers the user who has started it and browsers that open the printed
    address with its token, and who corrects a slide says their name. To be reached from the
    network it needs users (see web-user) or a token (SMEARCOUNT_WEB_TOKEN, which no option takes: others could read it in
    the list of processes). It speaks HTTP: put a proxy with HTTPS in front. Ctrl-C or SIGTERM ends it.
    """
    outlive_terminal()
    site = open_site(
        data=data,
        database_url=database_url,
        broker_url=broker_url,
        web_host=web_host,
        web_port=web_port,
        web_users=web_users,
    )
    log_to_stderr(site.log)
    given = site.web.web_launch_token.get_secret_value()
    launch_token = given or new_token()

    def printed(address: str) -> str:
        # `up` has given the token, and has printed it already.
        return with_token(address, launch_token) if application.state.access.is_open and not given else address

    with site.database as database, web_services(site, launch_token) as services:
        application = make_application(services)  # Before the wait for the database: it refuses impossible settings.
        migrate_when_ready(database)
        warn_of_mounts(database, site.mounts)
        if not is_loopback(site.web.web_host):
            print_message("names and passwords travel unencrypted unless a proxy with HTTPS stands in front")

        def say(address: str) -> None:
            report_ready()
            print_message(f"serving {address} ; Ctrl-C ends")

        serve(
            application,
            host=site.web.web_host,
            port=site.web.web_port,
            # Without logins nobody is behind a proxy.
            proxies=() if application.state.access.is_open else site.web.web_proxies,
            say=say,
        )
    print_message("ended")
    raise ExitWith(ExitCode.INTERRUPTED)
