"""Routes of one cell: what is known of it, its reviews, and its picture."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.status import HTTP_304_NOT_MODIFIED

from smearcount.db.queries.cells import cell
from smearcount.db.queries.images import image_file
from smearcount.db.review.history import history
from smearcount.web.dependencies import TheDatabase, TheDecoding, TheMounts, TheThumbnails, person
from smearcount.web.media.pictures import Picture, read_picture
from smearcount.web.media.thumbnails import Side, ThumbnailKey
from smearcount.web.problems import described
from smearcount.web.schemas.base import LARGEST_ID
from smearcount.web.schemas.cells import CellAnswer
from smearcount.web.schemas.reviews import History, ReviewAnswer

router = APIRouter(prefix="/cells", tags=["cells"], dependencies=[Depends(person)])

CellId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the image.", examples=[3])]

#: The picture of an id never changes, because an id stands for one version of one file. Only the browser may keep it.
#: A browser keeps a picture and asks each time whether it may show it: after a logout it may not.
_CACHE: Final = "private, no-cache"

#: Lets a picture be shown and nothing in it be run.
_PICTURE_POLICY: Final = "default-src 'none'; sandbox"

_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}


def _pictures(*types: str) -> dict[int | str, dict[str, Any]]:
    etag = {"description": "SHA-256 of the file.", "schema": {"type": "string"}}
    return {
        200: {"description": "The picture.", "content": dict.fromkeys(types, _BYTES), "headers": {"ETag": etag}},
        304: {"description": "The browser has it already."},
        **described("unknown-cell", "no-image", "image-gone", "image-changed"),
    }


@router.get("/{cell_id}", summary="One image", responses=described("unknown-cell"))
def get_cell(cell_id: CellId, database: TheDatabase) -> CellAnswer:
    """Return everything that is known of an image, whatever its state."""
    return CellAnswer.of(cell(database, cell_id))


@router.get("/{cell_id}/history", summary="What people said of a cell", responses=described("unknown-cell"))
def get_history(cell_id: CellId, database: TheDatabase) -> History:
    """Return all reviews of an image, oldest first: who, when, from, to and why."""
    return History(reviews=[ReviewAnswer.of(review) for review in history(database, cell_id)])


@router.get(
    "/{cell_id}/image",
    summary="The image itself",
    response_class=Response,
    responses=_pictures("image/jpeg", "image/png", "image/bmp"),
)
async def get_image(
    request: Request, cell_id: CellId, database: TheDatabase, mounts: TheMounts, decoding: TheDecoding
) -> Response:
    """Return the very file that was counted, as long as it is in the inbox unchanged; a TIFF as PNG."""
    picture = await decoding.once(cell_id, lambda: read_picture(image_file(database, cell_id, mounts)))
    return _shown(request, picture, f"cell-{cell_id}")


@router.get(
    "/{cell_id}/thumbnail",
    summary="A small picture of the cell",
    response_class=Response,
    responses=_pictures("image/jpeg"),
)
async def get_thumbnail(
    request: Request,
    cell_id: CellId,
    database: TheDatabase,
    mounts: TheMounts,
    thumbnails: TheThumbnails,
    decoding: TheDecoding,
    side: Annotated[Side, Query(description="Width and height in pixels.")] = Side.USUAL,
) -> Response:
    """Return the middle of the image, where the cell is, as a small JPEG."""
    key = ThumbnailKey(cell_id, side)
    picture = thumbnails.known(key)
    if picture is None:
        picture = await decoding.once(key, lambda: thumbnails.make(key, image_file(database, cell_id, mounts)))
    return _shown(request, picture, f"cell-{cell_id}-{side}")


def _shown(request: Request, picture: Picture, name: str) -> Response:
    etag = f'"{picture.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _CACHE,
        "Content-Security-Policy": _PICTURE_POLICY,
        "Content-Disposition": f'inline; filename="{name}.{picture.media_type.removeprefix("image/")}"',
    }
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {etag, "*"}:
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(picture.content, media_type=picture.media_type, headers=headers)
