"""`smearcount deliveries`."""

from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views import formats
from smearcount.cli.views.console import print_message, print_raw, print_result
from smearcount.cli.views.rows import print_rows
from smearcount.db.delivery import decisions
from smearcount.db.delivery.destinations import destination_health
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.schema import DeliveryState

_by = click.option("--by", required=True, metavar="NAME", help="Name of the person who decides it.")


@click.group(invoke_without_command=True)
@options.output
@options.data
@options.database
@click.pass_context
def deliveries(context: click.Context, output: str, data: Path | None, database_url: str | None) -> None:
    """See what was sent, what waits and what was refused, and decide about it.

    Without a command it shows the destinations.
    """
    if context.invoked_subcommand is None:
        context.invoke(destinations, output=output, data=data, database_url=database_url)
    elif context.get_parameter_source("output") is ParameterSource.COMMANDLINE or data or database_url:
        raise click.UsageError(f"write the options after {context.invoked_subcommand}")


@deliveries.command()
@options.output
@options.data
@options.database
def destinations(output: str, data: Path | None, database_url: str | None) -> None:
    """List the destinations: what waits for each, what it refused, and whether it answers."""
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        rows = [asdict(one) for one in destination_health(database)]
    if output != "table":
        print_rows(rows, output)
    elif rows:
        shown = ("name", "waiting", "parked", "oldest_at", "served_at", "failure")
        print_rows([{name: row[name] for name in shown} for row in rows if row["in_use"]], output)
    else:
        print_message("nothing was ever to be sent: SMEARCOUNT_DESTINATIONS names the receivers")


@deliveries.command(name="list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in DeliveryState]),
    help="Only messages in this state; may be given more than once.",
)
@click.option("--destination", metavar="NAME", help="Only messages to this destination.")
@click.option("--slide", metavar="NAME", help="Only messages of this slide.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most messages.")
@options.output
@options.inbox_name
@options.data
@options.database
def list_(
    states: tuple[str, ...],
    destination: str | None,
    slide: str | None,
    limit: int,
    output: str,
    inbox: str | None,
    data: Path | None,
    database_url: str | None,
) -> None:
    """List messages, newest first."""
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        found = decisions.deliveries(
            database,
            states=[DeliveryState(state) for state in states],
            destination=destination,
            slide_id=None if slide is None else find_slide_id(database, slide, inbox=inbox),
            limit=limit,
        )
    rows = [{name: value for name, value in asdict(one).items() if name not in {"body", "answer"}} for one in found]
    if output != "table":
        print_rows(rows, output)
    elif rows:
        shown = ("id", "destination", "slide_id", "disposition", "state", "sent_at", "reason")
        print_rows([{name: row[name] for name in shown} for row in rows], output)
    else:
        print_message("there is no such message")


@deliveries.command()
@click.argument("message", type=click.IntRange(min=1))
@options.data
@options.database
def show(message: int, data: Path | None, database_url: str | None) -> None:
    """Show one message, as it was sent, and what the receiver answered last."""
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        found = decisions.delivery(database, message)
    facts = {name: value for name, value in asdict(found).items() if name not in {"body", "answer"}}
    print_result(formats.rows_table([{"": name.replace("_", " "), "now": value} for name, value in facts.items()]))
    for title, text in (("message", found.body), ("answer", found.answer)):
        print_message(f"{title}:" if text is not None else f"{title}: none")
        if text is not None:
            # Segments of HL7 and LIS2 end with a carriage return, which a terminal would write over.
            print_raw(formats.printed_lines(text))


@deliveries.command(name="send-again")
@click.argument("messages", nargs=-1, required=True, type=click.IntRange(min=1))
@click.option("--anew", is_flag=True, help="Make it anew by the settings of now, under another control id.")
@_by
@options.data
@options.database
def send_again(messages: tuple[int, ...], anew: bool, by: str, data: Path | None, database_url: str | None) -> None:
    """Send messages again: those that were refused, and others if a receiver has lost them.

    A message goes out as it was, under its control id, by which a receiver knows it that has it already. With --anew it is
    made by the settings of now, such as after a mapping was mended.
    """
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        for message in messages:
            decisions.send_again(database, message, by=by, anew=anew)
            print_message(f"message {message} is sent again")


@deliveries.command(name="give-up")
@click.argument("messages", nargs=-1, required=True, type=click.IntRange(min=1))
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept with the message.")
@_by
@options.data
@options.database
def give_up(messages: tuple[int, ...], reason: str, by: str, data: Path | None, database_url: str | None) -> None:
    """Give messages up: they are not sent, and later messages of their slides go on."""
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        for message in messages:
            decisions.give_up(database, message, by=by, reason=reason)
            print_message(f"message {message} is given up")
