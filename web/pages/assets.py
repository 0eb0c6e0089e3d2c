"""The pages' scripts, style sheets and icon. Their path changes with their content, so that browsers can keep them."""

import hashlib
from functools import cache
from os import PathLike, stat_result
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parents[1] / "static"

#: The files hold nothing secret, and other content has another path.
_CACHE: Final = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """Serves the files of FOLDER."""

    def __init__(self) -> None:
        """Serve the installed files and nothing else."""
        super().__init__(directory=FOLDER)

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file with a header that lets browsers keep it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _CACHE
        return response


@cache
def prefix() -> str:
    """Return the path under which the files are served: /static/ and a digest of all files."""
    digest = hashlib.sha256()
    for file in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(file.relative_to(FOLDER).as_posix().encode() + b"\0" + file.read_bytes())
    return f"/static/{digest.hexdigest()[:16]}"
