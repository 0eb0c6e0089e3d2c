"""`smearcount audit`."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import ExitCode, ExitWith
from smearcount.cli.signals import interrupt_on_sigterm
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_json, print_message, print_raw, progress_bar
from smearcount.cli.views.rows import print_rows
from smearcount.db.audit.verification import Audit, Break, Link
from smearcount.db.audit.verification import verify as verify_chain
from smearcount.differential.forms.wording import printable


@click.group()
def audit() -> None:
    """Check that nobody has changed what people said and did."""


@audit.command()
@click.option(
    "--head",
    "noted",
    metavar="HEAD",
    help="A head of the chain that was noted earlier, such as 12:9f86d0...: it must still stand in the chain.",
)
@options.output
@options.data
@options.database
def verify(noted: str | None, output: str, data: Path | None, database_url: str | None) -> None:
    """Check the chain of hashes over all reviews, comments, signatures and other events.

    Each row carries a hash over itself and the row before it. Breaks are listed with slide and time: rows that were changed,
    removed or inserted. The head, said on standard error, vouches for all rows; note it where nobody can change it together
    with the database, and give it as --head later. Exit code 1 if the chain does not hold.
    """
    interrupt_on_sigterm()
    site = open_site(data=data, database_url=database_url)
    link = None if noted is None else Link.parse(noted)
    with site.counted_database() as database, progress_bar("verifying, percent", 100) as progress:
        found = verify_chain(database, noted=link, progress=progress)
    if output == "json":
        print_json(_document(found))
    elif output == "csv":
        print_rows(found.breaks, output, [field.name for field in fields(Break)])
    else:
        for broken in found.breaks:
            print_raw(_line(broken))
    rows = f"{found.reviews} reviews and {found.slide_events} slide events"
    if found.before_the_chain:
        rows += f", and {found.before_the_chain} rows of earlier versions under one hash"
    if not found.holds:
        places = "1 place" if found.broken == 1 else f"{found.broken} places"
        print_message(f"the chain is broken in {places} ({rows})")
        raise ExitWith(ExitCode.FAILED)
    print_message(f"the chain holds: {rows}; its head is {found.head}")


def _line(broken: Break) -> str:
    """Return a break for a person: where, when, and what."""
    parts = [] if broken.slide is None else [f"slide {printable(broken.slide)}"]
    if broken.table is not None:
        parts.append(f"{broken.table} {broken.id}")
    if broken.at is not None:
        parts.append(f"{broken.at:%Y-%m-%d %H:%M:%S} UTC")
    return ": ".join([", ".join(parts), broken.what]) if parts else broken.what


def _document(found: Audit) -> str:
    document = asdict(found) | {"holds": found.holds, "head": None if found.head is None else str(found.head)}
    return json.dumps(document, indent=2, ensure_ascii=False, default=lambda at: at.isoformat())
