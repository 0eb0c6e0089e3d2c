"""Bad input: nothing stops the service, and every file is counted, ignored by a rule or refused with a reason."""

import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from smearcount.cli.simulation.drawing import draw_cell
from smearcount.differential.classes import CellClass

from support.running import Smearcount


def draw(seed: int) -> Image.Image:
    """Draw a neutrophil."""
    return draw_cell(CellClass.NEUTROPHIL, np.random.default_rng(seed))


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claim_to_be_huge(path: Path) -> None:
    """Write a PNG of a few bytes whose header promises 100 megapixels."""
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_every_kind_of_bad_file_gets_its_reason_and_the_good_ones_are_counted(  # noqa: PLR0915 (one line per kind)
    smearcount: Smearcount, inbox: Path, tmp_path: Path
) -> None:
    slide = inbox / "S1"
    slide.mkdir()
    good = draw(0)
    good.save(slide / "good.jpg", quality=92)
    whole = (slide / "good.jpg").read_bytes()
    draw(1).save(slide / "good.png")
    draw(2).save(slide / "good.bmp")
    draw(3).save(slide / "good.tiff")
    draw(4).convert("RGBA").save(slide / "opaque-alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(5).save(slide / "rotated.jpg", quality=92, exif=exif)
    (slide / "copy.jpg").write_bytes(whole)

    (slide / "empty.jpg").touch()
    (slide / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (slide / "text.jpg").write_text("this is no image")
    good.convert("L").save(slide / "grey.jpg")
    good.convert("CMYK").save(slide / "cmyk.jpg")
    Image.new("I;16", (360, 363)).save(slide / "sixteen.png")
    Image.new("RGBA", (360, 363), (255, 0, 0, 0)).save(slide / "seethrough.png")
    good.resize((80, 80)).save(slide / "small.jpg")
    claim_to_be_huge(slide / "bomb.png")
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(whole)
    (slide / "link.jpg").symlink_to(outside)
    (inbox / "loose.jpg").write_bytes(whole)

    os.mkfifo(slide / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(slide)  # the path of a socket must be short
        listener.bind("socket.jpg")
        os.chdir(here)
    (slide / "notes.txt").write_text("not an image, and not called one")
    (slide / "Thumbs.db").write_text("a system's own")
    (slide / "half.jpg.part").write_bytes(whole)

    draw(6).save(slide / "line\nbreak.jpg")
    draw(7).save(os.fsencode(slide) + b"/not-utf8-\xff.jpg".replace(b"/", b"/"), format="JPEG")
    draw(8).save(slide / f"{'x' * 251}.jpg")
    draw(9).save(slide / "細胞 🔬.jpg")
    for position, name in enumerate(["CON", "a..b", " ", "ʕ•ᴥ•ʔ"]):
        (inbox / name).mkdir()
        draw(20 + position).save(inbox / name / "cell.jpg")

    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 3, done.stderr
    assert "files ignored: 2 (unfinished 1, .txt 1)" in done.stderr

    lines = smearcount.json("images")
    reasons = {Path(line["path"]).name: line["reason_code"] for line in lines if line["state"] == "quarantined"}
    assert reasons == {
        "empty.jpg": "empty",
        "truncated.jpg": "damaged",
        "text.jpg": "not-an-image",
        "grey.jpg": "no-colour",
        "cmyk.jpg": "wrong-colours",
        "sixteen.png": "no-colour",
        "seethrough.png": "transparent",
        "small.jpg": "wrong-size",
        "bomb.png": "wrong-size",
        "link.jpg": "leaves-inbox",
        "loose.jpg": "no-slide",
    }
    assert all(line["reason"] for line in lines if line["state"] == "quarantined")
    for name in reasons:
        assert name in done.stdout + done.stderr

    states = {Path(line["path"]).name: line["state"] for line in lines if line["slide"] == "S1"}
    assert sorted([states["good.jpg"], states["copy.jpg"]]) == ["done", "duplicate"]
    for name in ("good.png", "good.bmp", "good.tiff", "opaque-alpha.png", "rotated.jpg", r"line\x0abreak.jpg",
                 r"not-utf8-\xff.jpg", f"{'x' * 251}.jpg", "細胞 🔬.jpg"):  # fmt: skip
        assert states[name] == "done", name
    assert not {"pipe.jpg", "socket.jpg", "notes.txt", "Thumbs.db", "half.jpg.part"} & set(states)
    assert {line["slide"] for line in lines if line["slide"]} == {"S1", "CON", "a..b", " ", "ʕ•ᴥ•ʔ"}

    # Mend the files: replace the link by a file, put the loose image into its slide, write the empty one.
    (slide / "link.jpg").unlink()
    draw(30).save(slide / "link.jpg")
    (slide / "loose.jpg").write_bytes((inbox / "loose.jpg").read_bytes())
    draw(31).save(slide / "empty.jpg")
    smearcount.run("up", inbox, "--once")
    states = {Path(line["path"]).name: line["state"] for line in smearcount.json("images") if line["slide"] == "S1"}
    assert states["link.jpg"] == "done"
    assert states["empty.jpg"] == "done"
    assert states["loose.jpg"] == "duplicate"


def test_an_unreadable_file_is_refused_until_it_may_be_read(smearcount: Smearcount, inbox: Path) -> None:
    (inbox / "S1").mkdir()
    closed = inbox / "S1" / "closed.jpg"
    draw(0).save(closed)
    closed.chmod(0)
    (inbox / "S2").mkdir(mode=0)
    smearcount.obeys_permissions = os.geteuid() == 0
    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 3, done.stderr
    assert "permission denied" in done.stdout
    assert "their images are not counted: 1" in (smearcount.data / "logs" / "watcher.log").read_text()
    closed.chmod(0o644)
    (inbox / "S2").chmod(0o755)
    assert smearcount.call("retry", "S1").returncode == 0
    assert smearcount.run("up", inbox, "--once").returncode == 0
    assert smearcount.json("slides")[0]["quarantined"] == 0
