"""Fuzzing guided by coverage, where atheris is installed: `python -m fuzzing.guided [SECONDS]`.

Atheris (Apache 2.0) sees which branches of our own code an input takes, and changes those further that take new ones. It is no
dependency: it builds for some Pythons alone, and `make fuzz` does without.
"""

import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Decode what atheris makes of the originals and the bombs; end at the first that is neither decoded nor refused."""
    try:
        import atheris  # noqa: PLC0415 (not always there)
    except ImportError:
        print("atheris is not installed here; try: pip install atheris", file=sys.stderr)
        return 1
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with atheris.instrument_imports(include=["smearcount.inbox", "smearcount.models"]):
        from smearcount.inbox.reading import LARGEST_FILE  # noqa: PLC0415 (instrumented as they are imported)
        from smearcount.models.errors import ImageRefused  # noqa: PLC0415
        from smearcount.models.preprocessing import decode_cell  # noqa: PLC0415
    from fuzzing.bombs import all_bombs  # noqa: PLC0415
    from fuzzing.originals import originals  # noqa: PLC0415

    def decode(data: bytes) -> None:
        try:
            decode_cell(data)
        except ImageRefused:
            return

    with tempfile.TemporaryDirectory(prefix="smearcount-fuzz-") as folder:
        for number, content in enumerate([*originals(), *all_bombs().values()]):
            (Path(folder) / str(number)).write_bytes(content)
        limits = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=2048", f"-max_len={LARGEST_FILE}"]
        atheris.Setup([sys.argv[0], *limits, folder], decode)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
