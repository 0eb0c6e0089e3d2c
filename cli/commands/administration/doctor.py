"""`smearcount doctor`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.diagnostics import Finding, diagnose
from smearcount.cli.errors import ExitCode, ExitWith
from smearcount.cli.startup import open_site
from smearcount.cli.views.rows import print_rows


@click.command()
@click.argument("inbox", type=click.Path(path_type=Path), required=False)
@options.output
@options.data
@options.database
@options.broker
def doctor(
    inbox: Path | None, output: str, data: Path | None, database_url: str | None, broker_url: str | None
) -> None:
    """Check the database, the broker and the model; with INBOX, also whether file events arrive from it.

    For the last a small hidden file is written into INBOX and removed again. Exit code 1 if something is wrong.
    """
    site = open_site(data=data, database_url=database_url, broker_url=broker_url)
    with site.database:
        findings: list[Finding] = diagnose(site, inbox)
    print_rows(findings, output)
    if any(finding.state == "wrong" for finding in findings):
        raise ExitWith(ExitCode.FAILED)
