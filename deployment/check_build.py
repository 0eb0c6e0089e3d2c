"""Checks the Dockerfile where there is no container engine.

    python deployment/check_build.py                          checks that the files it copies exist and its bases are pinned
    python deployment/check_build.py --target worker FOLDER   also carries out its steps, with FOLDER in the place of /

The second form uses the Python that runs it, installs every package as the image would, counts a few drawn cells with the
result, and takes minutes. It skips, and names, each step that would change this machine, such as adding a user.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]

#: The stages that a laboratory builds images of.
TARGETS = ("worker", "worker-gpu", "web", "watcher")

#: Folders of the image that are made within FOLDER.
_OWN_FOLDERS = re.compile(r"(?<![\w./-])/(build|data|opt)\b")
_CHANGES_MACHINE = re.compile(r"^(groupadd|useradd|apt-get)\b")


#: The end of a base image's name: a version, and the digest that holds it to the byte.
_PINNED = re.compile(r":\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}$")


class BuildFault(Exception):
    """The Dockerfile cannot be built; the message says why."""


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile."""

    instruction: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The arguments of the instruction, split as a shell splits them."""
        return shlex.split(self.rest)


@dataclass(frozen=True)
class Stage:
    """The steps from one FROM to the next."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)


def stages_of(text: str) -> dict[str, Stage]:
    """Return the stages of a Dockerfile by name, in the file's order.

    Raises:
        BuildFault: a stage has no name.
    """
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    current: Stage | None = None
    for step in _steps(text):
        if step.instruction == "ARG" and current is None:
            name, _, value = step.rest.partition("=")
            arguments[name] = value
        elif step.instruction == "FROM":
            base, word, name = step.rest.split()
            if word.upper() != "AS":
                raise BuildFault(f"a stage has no name: FROM {step.rest}")
            for argument, value in arguments.items():
                base = base.replace(f"${{{argument}}}", value)
            current = Stage(name, base)
            stages[name] = current
        elif current is not None:
            current.steps.append(step)
    return stages


def chain_of(stages: dict[str, Stage], target: str) -> list[Stage]:
    """Return the stages that a target needs, in the order in which they are built; it needs those that it copies from, too."""
    found: list[Stage] = []

    def add(name: str) -> None:
        stage = stages[name]
        for needed in [stage.base, *_copied_from(stage)]:
            if needed in stages:
                add(needed)
        if stage not in found:
            found.append(stage)

    add(target)
    return found


def check(stages: dict[str, Stage], ignore: str, root: Path) -> None:
    """Check that every target can be built and is configured safely.

    Each file that a step copies or installs from must exist and must not be ignored; each base image must have an exact
    version; no target may run as root, and each needs a health check and a command.

    Args:
        stages: the stages of the Dockerfile.
        ignore: the text of .dockerignore.
        root: the folder that is built.

    Raises:
        BuildFault: a target breaks one of these rules.
    """
    sent = _sent(ignore)
    _check_packages(sent, root)
    for target in TARGETS:
        if target not in stages:
            raise BuildFault(f"there is no target {target}")
        chain = chain_of(stages, target)
        for stage in chain:
            if stage.base not in stages and not _PINNED.search(stage.base):
                raise BuildFault(f"{stage.name} starts from {stage.base}, which names no exact version and digest")
        _check_copies(chain, sent, root)
        last = {step.instruction: step for stage in chain for step in stage.steps}
        if last.get("USER", Step("USER", "root")).rest.partition(":")[0] in {"root", "0"}:
            raise BuildFault(f"{target} runs as root")
        for instruction in ("HEALTHCHECK", "ENTRYPOINT", "CMD"):
            if instruction not in last:
                raise BuildFault(f"{target} has no {instruction}")


def carry_out(stages: dict[str, Stage], ignore: str, root: Path, target: str, folder: Path) -> None:
    """Carry out the steps of a target in a folder, and count a few drawn cells with the smearcount they installed.

    Args:
        stages: the stages of the Dockerfile.
        ignore: the text of .dockerignore.
        root: the folder that is built.
        target: the stage to carry out, with those that it needs.
        folder: an empty or new folder, in the place of the image's root.

    Raises:
        BuildFault: a step fails, or the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BuildFault(f"{folder} is not empty")
    sent = _sent(ignore)
    environment = dict(os.environ)
    entry: list[str] = []
    working = folder
    for stage in chain_of(stages, target):
        working = folder
        for step in stage.steps:
            print(f"[{stage.name}] {step.instruction} {step.rest}", flush=True)
            if step.instruction == "WORKDIR":
                working = Path(_within(step.rest, folder))
                working.mkdir(parents=True, exist_ok=True)
            elif step.instruction == "ENV":
                environment |= _variables(step, folder, environment)
            elif step.instruction == "COPY":
                _copy(step, sent, root, working, folder)
            elif step.instruction == "RUN":
                _run(step, working, folder, environment)
            elif step.instruction == "ENTRYPOINT":
                entry = json.loads(step.rest)
    (folder / "data").mkdir(exist_ok=True)
    _count(entry, folder, environment)


def _steps(text: str) -> Iterator[Step]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            instruction, _, rest = line.strip().partition(" ")
            yield Step(instruction.upper(), rest.strip())


def _copied_from(stage: Stage) -> list[str]:
    words = [word for step in stage.steps if step.instruction == "COPY" for word in step.words]
    return [word.removeprefix("--from=") for word in words if word.startswith("--from=")]


def _sent(ignore: str) -> list[str]:
    """Return the paths that .dockerignore lets through to the build; it must exclude all others."""
    lines = [line.strip() for line in ignore.splitlines() if line.strip()]
    if lines[:1] != ["*"]:
        raise BuildFault(".dockerignore must begin with *, so that nothing reaches the build by accident")
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def _reaches_build(path: str, sent: list[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(one) for one in sent)


def _check_packages(sent: list[str], root: Path) -> None:
    folders = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for package, folder in folders.items():
        if not _reaches_build(folder, sent):
            raise BuildFault(f"the package {package} does not reach the build; add {folder} to .dockerignore")


def _check_copies(chain: list[Stage], sent: list[str], root: Path) -> None:
    copied: list[str] = []
    for stage in chain:
        for step in stage.steps:
            if step.instruction == "COPY" and "--from=" not in step.rest:
                for source in step.words[:-1]:
                    if not (root / source).exists():
                        raise BuildFault(f"{stage.name} copies {source}, which does not exist")
                    if source != "." and not _reaches_build(source, sent):
                        raise BuildFault(f"{stage.name} copies {source}, which .dockerignore keeps from the build")
                    copied.append(source)
            elif step.instruction == "RUN":
                for name in re.findall(r"-r (\S+)", step.rest):
                    if name not in copied:
                        raise BuildFault(f"{stage.name} installs {name}, which was not copied before")


def _within(text: str, folder: Path) -> str:
    return _OWN_FOLDERS.sub(lambda found: f"{folder}/{found[1]}", text)


def _variables(step: Step, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    pairs = (word.partition("=") for word in step.words)
    return {name: _within(value.replace("$PATH", environment["PATH"]), folder) for name, _, value in pairs}


def _copy(step: Step, sent: list[str], root: Path, working: Path, folder: Path) -> None:
    *sources, target = [word for word in step.words if not word.startswith("--")]
    if "--from=" in step.rest:
        # All stages share one folder, so an earlier stage has already made the files here.
        for source in sources:
            if not Path(_within(source, folder)).exists():
                raise BuildFault(f"{source} was not made by the stage that it is copied from")
        return
    for source in sent if sources == ["."] else sources:
        place = working / target / (source if sources == ["."] else Path(source).name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if (root / source).is_dir():
            shutil.copytree(root / source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif (root / source).exists():
            shutil.copy(root / source, place)


def _run(step: Step, working: Path, folder: Path, environment: dict[str, str]) -> None:
    if _CHANGES_MACHINE.match(step.rest):
        print("  left out: it would change this machine", flush=True)
        return
    # The image's `python` stands for the Python that runs this script.
    command = re.sub(r"^python\b", shlex.quote(sys.executable), _within(step.rest, folder))
    done = subprocess.run(["sh", "-c", command], cwd=working, env=environment, check=False)
    if done.returncode != 0:
        raise BuildFault(f"a step ended with code {done.returncode}: {step.rest}")


def _count(entry: list[str], folder: Path, environment: dict[str, str]) -> None:
    program = shutil.which(entry[0], path=environment["PATH"])
    if program is None or not Path(program).is_relative_to(folder):
        raise BuildFault(f"the steps have not installed {entry[0]}")
    inbox = folder / "inbox"
    for arguments in (
        ["--version"],
        ["simulate", str(inbox), "--slides", "1", "--cells", "24"],
        ["up", str(inbox), "--once"],
    ):
        done = subprocess.run([program, *entry[1:], *arguments], cwd=folder / "data", env=environment, check=False)
        if done.returncode != 0:
            raise BuildFault(f"{' '.join([*entry, *arguments])} ended with code {done.returncode}")


def main() -> int:
    """Check the Dockerfile, and carry it out if a folder is named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="an empty folder to carry the steps out in")
    parser.add_argument("--target", choices=TARGETS, default="worker")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that is built; default: this repository")
    given = parser.parse_args()
    ignore = (given.root / ".dockerignore").read_text()
    try:
        stages = stages_of((given.root / "Dockerfile").read_text())
        check(stages, ignore, given.root)
        if given.folder is not None:
            carry_out(stages, ignore, given.root, given.target, given.folder.resolve())
    except BuildFault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(f"{len(stages)} stages, {', '.join(TARGETS)}: all there")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
