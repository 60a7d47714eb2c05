"""file://: what lies under the allowed roots, and no way out of them."""

import os
import socket
from pathlib import Path

import pytest

from errors import ImageTooLarge, SourceNotFound, SourceRefused, SourceUnavailable
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import open_fetcher
from sources.files import _open

PICTURE = b"\xff\xd8\xff picture"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """(allowed, outside), each with a picture."""
    allowed, outside = tmp_path / "allowed", tmp_path / "allowed-not"
    for folder in (allowed, outside):
        (folder / "deep").mkdir(parents=True)
        (folder / "cat.jpg").write_bytes(PICTURE)
        (folder / "deep" / "cat.jpg").write_bytes(PICTURE)
    return allowed, outside


async def fetch(uri: str, *roots: Path, most: int = 1000) -> bytes:
    settings = SourceSettings(uri_file_roots=tuple(map(str, roots)), max_image_bytes=most)
    async with open_fetcher(settings) as source:
        return await source.fetch(ImageRef(uri))


async def test_every_spelling_of_a_path_under_a_root_is_read(folders: tuple[Path, Path]) -> None:
    allowed, outside = folders
    (allowed / "ä ?#%.jpg").write_bytes(PICTURE)
    spellings = [
        f"file://{allowed}/cat.jpg",
        f"file://localhost{allowed}/cat.jpg",
        f"FILE:{allowed}/cat.jpg",
        f"file://{allowed}/%63at.jpg",
        f"file://{allowed}//deep/../cat.jpg",
        f"file://{allowed}/%C3%A4%20%3F%23%25.jpg",
        f"file://{allowed}/ä %3F%23%25.jpg",
        f"file://{allowed}/deep/cat.jpg",
    ]
    for uri in spellings:
        assert await fetch(uri, outside, allowed) == PICTURE, uri


async def test_links_may_lead_about_within_a_root_and_a_root_may_be_a_link(folders: tuple[Path, Path]) -> None:
    allowed, _ = folders
    (allowed / "link.jpg").symlink_to(allowed / "deep" / "cat.jpg")
    (allowed / "folder").symlink_to("deep", target_is_directory=True)
    root = allowed.parent / "root"
    root.symlink_to(allowed, target_is_directory=True)
    for uri in (f"file://{allowed}/link.jpg", f"file://{allowed}/folder/cat.jpg", f"file://{root}/cat.jpg"):
        assert await fetch(uri, root) == PICTURE, uri


async def test_nothing_leads_out_of_a_root(folders: tuple[Path, Path]) -> None:
    allowed, outside = folders
    (allowed / "link.jpg").symlink_to(outside / "cat.jpg")
    (allowed / "folder").symlink_to(outside, target_is_directory=True)
    (allowed / "dangling.jpg").symlink_to(outside / "nothing.jpg")
    escapes = [
        f"file://{outside}/cat.jpg",
        f"file://{outside}/nothing.jpg",
        f"file://{allowed}/../{outside.name}/cat.jpg",
        f"file://{allowed}/%2e%2e/{outside.name}/cat.jpg",
        f"file://{allowed}/..%2F{outside.name}%2Fcat.jpg",
        f"file://{allowed}/link.jpg",
        f"file://{allowed}/folder/cat.jpg",
        f"file://{allowed}/folder/deep/cat.jpg",
        f"file://{allowed}/dangling.jpg",
        "file:///etc/passwd",
        "file:///proc/self/environ",
    ]
    for uri in escapes:
        with pytest.raises(SourceRefused, match="SCORER_URI_FILE_ROOTS"):
            await fetch(uri, allowed)


def test_a_link_put_in_the_way_after_the_check_is_not_followed(folders: tuple[Path, Path]) -> None:
    allowed, outside = folders
    (allowed / "folder").symlink_to(outside, target_is_directory=True)
    (allowed / "link.jpg").symlink_to(outside / "cat.jpg")
    with pytest.raises(NotADirectoryError):
        _open(allowed, ("folder", "cat.jpg"), "shown")
    with pytest.raises(SourceRefused):
        _open(allowed, ("link.jpg",), "shown")


async def test_only_regular_files_are_read_and_none_of_the_others_blocks(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, _ = folders
    os.mkfifo(allowed / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(allowed)
        listener.bind("socket.jpg")  # relative: the path of a socket may not be long
        for name in ("pipe.jpg", "socket.jpg", "deep", "deep/", ""):
            with pytest.raises(SourceRefused, match="not a regular file"):
                await fetch(f"file://{allowed}/{name}", allowed)
    with pytest.raises(SourceRefused, match="not a regular file"):
        await fetch("file:///dev/zero", Path("/dev"))


@pytest.mark.parametrize(
    "uri",
    ["file://elsewhere/cat.jpg", "file:cat.jpg", "file:", "file://", "file:///a?b", "file:///a#b", "file:///a%00b"],
)
async def test_an_address_that_is_no_local_path_is_refused(uri: str, folders: tuple[Path, Path]) -> None:
    with pytest.raises(SourceRefused, match=r"write file:///path|holds a NUL"):
        await fetch(uri, Path("/"))


async def test_what_is_not_there_is_told_from_a_root_that_is_not_there(folders: tuple[Path, Path]) -> None:
    allowed, _ = folders
    for name in ("nothing.jpg", "cat.jpg/deeper.jpg", "nothing/cat.jpg"):
        with pytest.raises(SourceNotFound):
            await fetch(f"file://{allowed}/{name}", allowed)
    unmounted = allowed / "unmounted"
    with pytest.raises(SourceUnavailable, match="the allowed folder"):
        await fetch(f"file://{unmounted}/cat.jpg", unmounted)


async def test_a_name_that_is_too_long_and_a_loop_of_links_are_refused(folders: tuple[Path, Path]) -> None:
    allowed, _ = folders
    (allowed / "loop").symlink_to("loop")
    for name in ("x" * 5000, "loop"):
        with pytest.raises(SourceRefused):
            await fetch(f"file://{allowed}/{name}", allowed)
    with pytest.raises(SourceNotFound):
        await fetch(f"file://{allowed}/loop/cat.jpg", allowed)


async def test_a_path_that_is_no_text_is_named_in_words_that_can_be_stored(folders: tuple[Path, Path]) -> None:
    allowed, _ = folders
    with pytest.raises(SourceNotFound) as failure:
        await fetch(f"file://{allowed}/%FF%0A.jpg", allowed)
    assert "\n" not in str(failure.value)
    assert str(failure.value).encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_refused(folders: tuple[Path, Path]) -> None:
    allowed, _ = folders
    (allowed / "cat.jpg").chmod(0)
    with pytest.raises(SourceRefused, match="Permission denied"):
        await fetch(f"file://{allowed}/cat.jpg", allowed)


async def test_a_file_without_a_size_of_its_own_is_still_bounded() -> None:
    with pytest.raises(ImageTooLarge):
        await fetch("file:///proc/self/maps", Path("/proc"), most=100)
