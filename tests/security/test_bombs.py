"""Files that ask a decoder for far more work than their size suggests are refused before any decoder sees them."""

import asyncio
import io
import threading
import time

import pytest
from PIL import Image

from smearcount.inbox.complexity import MOST_SCANS, TooComplex, check_complexity
from smearcount.models.errors import ImageRefused
from smearcount.models.preprocessing import decode_cell
from smearcount.web.media.decoding import AT_A_TIME, Decoding
from smearcount.web.media.pictures import Picture, decoded
from smearcount.web.media.thumbnails import thumbnail
from smearcount.web.problems import Problem

from fuzzing import bombs
from support.exports import cell_bytes
from support.serving import Lab
from support.waiting import wait_until

#: Seconds of processor for a file, on a slow machine; the bombs took up to 23.
_SECONDS = 0.5

COMPLEX = ("scans", "segments", "junk", "fill", "tags of Exif", "tags of a TIFF", "directories", "chunks")


@pytest.mark.parametrize("name", bombs.all_bombs())
def test_a_worker_refuses_a_bomb_at_once(name: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ImageRefused) as refused:
        decode_cell(bombs.all_bombs()[name])
    assert time.thread_time() - begun < _SECONDS
    assert (refused.value.code == "too-complex") == (name in COMPLEX)


@pytest.mark.parametrize("name", bombs.all_bombs())
def test_the_web_server_refuses_a_bomb_at_once(name: str) -> None:
    begun = time.thread_time()
    content = bombs.all_bombs()[name]
    if name == "inflating":  # the pixels that the header announces are there, and the rest is never looked at
        thumbnail(Picture(content, "image/png", ""), 96)
    else:
        with pytest.raises(Problem), decoded(content, at_least=(96, 96)):
            pass
    assert time.thread_time() - begun < _SECONDS


def test_many_scans_do_not_hide_behind_each_other() -> None:
    """The quick look at a JPEG must not pass what the thorough one refuses."""
    own = 10
    check_complexity(bombs.scans(MOST_SCANS - own))
    for number in (MOST_SCANS - own + 1, 100, 250):
        with pytest.raises(TooComplex, match="scans"):
            check_complexity(bombs.scans(number))


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"restart_marker_blocks": 1}, {"icc_profile": bytes(500_000)}]
)
def test_unusual_jpegs_are_no_bombs(options: dict[str, object]) -> None:
    noisy = Image.effect_noise((512, 512), 90).convert("RGB")
    buffer = io.BytesIO()
    noisy.save(buffer, "JPEG", quality=100, **options)
    check_complexity(buffer.getvalue())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_large_cells_of_other_formats_are_no_bombs(kind: str, compression: str | None) -> None:
    buffer = io.BytesIO()
    options = {"compression": compression} if kind == "TIFF" and compression else {}
    Image.effect_noise((512, 512), 90).convert("RGB").save(buffer, kind, **options)
    check_complexity(buffer.getvalue())


def test_a_bomb_in_the_inbox_does_not_keep_the_api_waiting(lab: Lab) -> None:
    """Forty-eight who ask for one picture at a time used to keep the API waiting for minutes."""
    name = {"bomb.jpg": bombs.scans(400), "bomb.png": bombs.pixels(4000)}
    lab.add_slide("S-1")
    lab.write("S-1", name)
    with lab.client() as client:
        cells = client.get("/api/v1/slides/1/cells?limit=500").json()["cells"]
        ids = [cell["id"] for cell in cells if cell["path"].rpartition("/")[2] in name]
        answers: list[int] = []

        def ask(cell: int) -> None:
            answers.append(client.get(f"/api/v1/cells/{cell}/thumbnail").status_code)

        threads = [threading.Thread(target=ask, args=(cell,)) for cell in ids * 24]
        begun = time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) <= {404, 409, 422}, answers
        assert len(answers) == 48
        assert time.process_time() - begun < 48 * _SECONDS / 4


def test_an_image_is_decoded_once_however_many_ask() -> None:
    decoding = Decoding()
    at_once, most, calls = 0, 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def decode() -> int:
        nonlocal at_once, most, calls
        with lock:
            at_once, calls = at_once + 1, calls + 1
            most = max(most, at_once)
        go_on.wait()
        with lock:
            at_once -= 1
        return 7

    async def ask() -> list[int]:
        asked = [asyncio.ensure_future(decoding.once(cell, decode)) for cell in (1, 2, 3, 4) for _ in range(12)]
        await asyncio.sleep(0)
        asked[0].cancel()  # a browser that went away
        await asyncio.to_thread(wait_until, lambda: at_once == AT_A_TIME, what="the first images")
        go_on.set()
        return await asyncio.gather(*asked[1:])

    assert asyncio.run(ask()) == [7] * 47
    assert (calls, most) == (4, AT_A_TIME)


def test_an_error_reaches_all_who_asked_and_is_forgotten() -> None:
    decoding = Decoding()

    def fail() -> int:
        raise Problem("no-image", "damaged")

    async def ask() -> None:
        results = await asyncio.gather(*(decoding.once(1, fail) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(one, Problem) for one in results)
        assert await decoding.once(1, lambda: 3) == 3

    asyncio.run(ask())


def test_ordinary_cells_are_no_bombs() -> None:
    for number in range(20):
        check_complexity(cell_bytes(number))
        decode_cell(cell_bytes(number))
