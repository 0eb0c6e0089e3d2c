"""Pictures come from inside the inbox, unchanged, whatever lies there."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from smearcount.db.queries.images import ImageFile
from smearcount.inbox.paths import to_text
from smearcount.inbox.reading import LARGEST_FILE
from smearcount.web.media.pictures import read_picture
from smearcount.web.media.thumbnails import Side, ThumbnailKey, Thumbnails, thumbnail
from smearcount.web.problems import Problem


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / "S1").mkdir(parents=True)
    return folder


def picture_bytes(kind: str = "JPEG", size: tuple[int, int] = (360, 363)) -> bytes:
    """A red picture with a blue middle."""
    image = Image.new("RGB", size, (200, 30, 30))
    image.paste((30, 30, 200), (size[0] // 3, size[1] // 3, 2 * size[0] // 3, 2 * size[1] // 3))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def written(inbox: Path, content: bytes, path: str = "S1/a.jpg", *, is_read: bool = True) -> ImageFile:
    """Write a file and return what the database knows of it."""
    (inbox / path).write_bytes(content)
    status = (inbox / path).stat()
    sha256 = hashlib.sha256(content).hexdigest() if is_read else None
    return ImageFile(to_text(str(inbox)), to_text(path), status.st_size, status.st_mtime_ns, sha256)


def problem_of(file: ImageFile) -> str:
    with pytest.raises(Problem) as raised:
        read_picture(file)
    return raised.value.kind


@pytest.mark.parametrize(
    ("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("BMP", "image/bmp"), ("TIFF", "image/png")]
)
def test_the_type_is_told_from_the_bytes_alone(inbox: Path, kind: str, media_type: str) -> None:
    content = picture_bytes(kind)
    picture = read_picture(written(inbox, content, "S1/a.html"))
    assert picture.media_type == media_type
    assert picture.sha256 == hashlib.sha256(content).hexdigest()
    assert (picture.content == content) is (kind != "TIFF")
    assert Image.open(io.BytesIO(picture.content)).size == (360, 363)


def test_a_name_that_is_no_text_is_found(inbox: Path) -> None:
    name = os.fsdecode(b"S1/\xff\nx.jpg")
    assert read_picture(written(inbox, picture_bytes(), name)).media_type == "image/jpeg"


@pytest.mark.parametrize("content", [b"", b"hello", b"<html><script>alert(1)</script>", b"GIF89a", b"%PDF-1.7"])
def test_what_is_no_image_is_not_shown(inbox: Path, content: bytes) -> None:
    assert problem_of(written(inbox, content)) == "no-image"


def test_a_file_too_large_for_a_cell_is_not_read(inbox: Path) -> None:
    file = written(inbox, b"\xff\xd8\xff")
    os.truncate(inbox / "S1/a.jpg", LARGEST_FILE + 1)
    assert problem_of(file) == "no-image"


def test_a_file_that_is_gone_is_gone(inbox: Path) -> None:
    file = written(inbox, picture_bytes())
    (inbox / "S1/a.jpg").unlink()
    assert problem_of(file) == "image-gone"
    (inbox / "S1").rmdir()
    assert problem_of(file) == "image-gone"
    inbox.rmdir()
    assert problem_of(file) == "image-gone"


def test_other_bytes_of_the_same_size_and_time_are_a_change(inbox: Path) -> None:
    content = picture_bytes()
    file = written(inbox, content)
    (inbox / "S1/a.jpg").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(inbox / "S1/a.jpg", ns=(file.mtime_ns, file.mtime_ns))
    assert problem_of(file) == "image-changed"


def test_a_file_never_read_is_known_by_its_size_and_time(inbox: Path) -> None:
    file = written(inbox, picture_bytes(), is_read=False)
    assert read_picture(file).media_type == "image/jpeg"
    os.utime(inbox / "S1/a.jpg", ns=(file.mtime_ns + 10**10,) * 2)
    assert problem_of(file) == "image-changed"


def test_a_link_within_the_inbox_is_followed_and_one_out_of_it_never(inbox: Path, tmp_path: Path) -> None:
    content = picture_bytes()
    (tmp_path / "secret.jpg").write_bytes(content)
    file = written(inbox, content, "S1/real.jpg")
    (inbox / "S1/a.jpg").symlink_to("real.jpg")
    inside = ImageFile(file.root, "S1/a.jpg", file.size, file.mtime_ns, file.sha256)
    assert read_picture(inside).content == content
    (inbox / "S1/a.jpg").unlink()
    (inbox / "S1/a.jpg").symlink_to(tmp_path / "secret.jpg")
    assert problem_of(inside) == "image-gone"
    (inbox / "S2").symlink_to(tmp_path)
    assert problem_of(ImageFile(file.root, "S2/secret.jpg", file.size, file.mtime_ns, file.sha256)) == "image-gone"


@pytest.mark.parametrize("path", ["../secret.jpg", "S1/../../secret.jpg", "/etc/passwd", "S1/./../../secret.jpg"])
def test_a_path_out_of_the_inbox_leads_nowhere(inbox: Path, tmp_path: Path, path: str) -> None:
    content = picture_bytes()
    (tmp_path / "secret.jpg").write_bytes(content)
    file = ImageFile(str(inbox), path, len(content), 0, hashlib.sha256(content).hexdigest())
    assert problem_of(file) == "image-gone"


def test_a_pipe_or_folder_in_its_place_holds_nobody_up(inbox: Path) -> None:
    file = written(inbox, picture_bytes())
    (inbox / "S1/a.jpg").unlink()
    os.mkfifo(inbox / "S1/a.jpg")
    assert problem_of(file) == "image-gone"
    (inbox / "S1/a.jpg").unlink()
    (inbox / "S1/a.jpg").mkdir()
    assert problem_of(file) == "image-gone"


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_thumbnail_is_the_middle_made_small(inbox: Path, kind: str, side: Side) -> None:
    small = thumbnail(read_picture(written(inbox, picture_bytes(kind))), side)
    with Image.open(io.BytesIO(small.content)) as image:
        assert image.size == (side, side)
        red, _, blue = image.getpixel((side // 2, side // 2))  # type: ignore[misc]
        assert blue > 150 > red
        red, _, blue = image.getpixel((1, 1))  # type: ignore[misc]
        assert red > 150 > blue


def test_a_damaged_or_monstrous_image_has_no_thumbnail(inbox: Path) -> None:
    whole = picture_bytes()
    for content in (whole[: len(whole) // 2], picture_bytes("PNG", (5000, 8)), b"\xff\xd8\xffnothing"):
        with pytest.raises(Problem) as raised:
            thumbnail(read_picture(written(inbox, content)), 96)
        assert raised.value.kind == "no-image"


def test_thumbnails_are_remembered_as_long_as_they_fit(inbox: Path) -> None:
    files = [written(inbox, picture_bytes(size=(360, 360 + number)), f"S1/{number}.jpg") for number in range(3)]
    keys = [ThumbnailKey(number, Side.USUAL) for number in range(3)]
    size = len(Thumbnails().make(keys[0], files[0]).content)
    thumbnails = Thumbnails(most_bytes=int(2.5 * size))
    for key, file in zip(keys[:2], files[:2], strict=True):
        thumbnails.make(key, file)
    assert thumbnails.known(keys[0]) is not None
    thumbnails.make(keys[2], files[2])
    # The one that nobody asked for the longest gave way.
    assert [thumbnails.known(key) is not None for key in keys] == [True, False, True]
