"""The command `smearcount`."""

import gc
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

import click

from smearcount.cli.errors import ExitCode, ExitWith
from smearcount.cli.local.privacy import keep_private
from smearcount.cli.views.console import abandon_results, print_message
from smearcount.cli.views.outputs import guard_outputs
from smearcount.differential.errors import SmearcountError

_EPILOG = """\b
Exit codes: 0 done; 1 failed, the message says why; 2 the command line was not understood;
3 everything was processed, but some files could not be counted (up --once); 130 interrupted."""


#: Each command's module within `cli.commands`, in the order of the help, which begins with what a newcomer needs.
COMMANDS = {
    "up": "services.up",
    "slides": "results.slides",
    "counts": "results.counts",
    "images": "results.images",
    "status": "administration.status",
    "retry": "results.retry",
    "withdraw": "results.withdraw",
    "doctor": "administration.doctor",
    "config": "administration.config",
    "simulate": "simulate",
    "model": "model",
    "watch": "services.watch",
    "worker": "services.worker",
    "web": "services.web",
    "deliver": "services.deliver",
    "deliveries": "deliveries",
    "web-user": "administration.web_user",
    "audit": "administration.audit",
    "inbox": "administration.inbox",
    "migrate": "administration.migrate",
    "backup": "administration.backup",
    "restore": "administration.restore",
}


class _Commands(click.Group):
    """Loads a command's module when the command is used: `slides`, for example, must not wait for Celery to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = _loaded(f"smearcount.cli.commands.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101 (for the type checker)
        return command


def _loaded(name: str) -> ModuleType:
    """Return a module, and load it where that has not been done.

    What is loaded stays. To search it for garbage again and again took a sixth of the time of a start.
    """
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        module = importlib.import_module(name)
        gc.freeze()
    finally:
        gc.enable()
    return module


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(None, "--version", package_name="smearcount", message="smearcount %(version)s")
def cli() -> None:
    """Turn a blood-smear analyzer's exported cell images into differential counts.

    Point `up` at the folder that the analyzer exports to: every folder in it is a slide, every image in that one cell.
    The images are classified as they arrive and counted per slide. Nothing in the folder is ever changed.

    \b
      smearcount simulate demo            draw a few slides to try it with
      smearcount up demo --once           count them
      smearcount counts slide-001         one slide's differential

    Results are for research use until your site has validated them.
    """  # noqa: D301 (Click wants the backspace character before lines that it must not wrap)


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 (one return for each way to end)
    """Run a command and return its exit code; an error becomes one line on standard error.

    Args:
        arguments: The words after `smearcount`; None for those of this process.
    """
    if arguments is None:  # this process is the command's own
        keep_private()
    guard_outputs()
    try:
        cli.main(list(arguments) if arguments is not None else None, prog_name="smearcount", standalone_mode=False)
    except ExitWith as ending:
        return ending.code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print_message("interrupted")
        return ExitCode.INTERRUPTED
    except SmearcountError as error:
        print_message(f"error: {error}")
        return ExitCode.FAILED
    except BrokenPipeError:  # The program that reads our output, such as `head`, has ended.
        abandon_results()
        return ExitCode.DONE
    return ExitCode.DONE


if __name__ == "__main__":
    raise SystemExit(main())
