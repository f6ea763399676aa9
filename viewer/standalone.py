"""Save the interactive page as one HTML file that works from disk, offline, and makes no requests."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mimo.data import FileError
from mimo.output_file import refuse_inputs, replacing
from mimo.viewer import page_files
from mimo.viewer.payload import (
    measurement_packet,
    packet,
    page_facts,
    phase_packet,
    scores,
    unpack,
    volume_packet,
)
from mimo.viewer.setup_facts import setup_facts

__all__ = ["MOST_STATE", "save_html", "standalone_page"]

MOST_BYTES = 400 * 2**20  # browsers read no script beyond about 512 MiB
MOST_STATE = 4000
NO_MEASUREMENT = {"name": "images", "tx": [], "rx": [], "n_freq": 0, "n_channel": 0, "n_pair": 0, "permittivity": 1.0}
NO_PACKET = packet({"problem": "No measurement was given with these images."})
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; base-uri 'none'"
)


def save_html(
    files: Sequence[str | PathLike[str]] | str | PathLike[str],
    out: str | PathLike[str],
    *,
    scenes: Sequence[int] | None = None,
    state: str = "",
) -> None:
    """Write the interactive page with its data as one HTML file, under another name first, then renamed to `out`.

    Parameters
    ----------
    files
        Files of the schema with images or a truth.
    out
        HTML file to write.
    scenes
        Numbers of the scenes, from 0; all by default.
    state
        Initial view, as after ``#`` in the address of a page; the default view when empty.

    Raises
    ------
    mimo.data.FileError
        When a file is not sound (it is named), or there is no such scene.
    ValueError
        When the page would be larger than a browser reads (400 MiB).
    """
    paths = [Path(files)] if isinstance(files, str | PathLike) else [Path(file) for file in files]
    text, _ = standalone_page(paths, scenes=scenes, state=state)
    refuse_inputs(out, paths)
    with replacing(out) as part:
        part.write_text(text, encoding="utf-8")


def standalone_page(
    paths: Sequence[Path],
    *,
    scenes: Sequence[int] | None = None,
    state: str = "",
    lenient: bool = False,
    images_alone: bool = False,
) -> tuple[str, list[str]]:
    """Return the text of the page that `save_html` writes, and messages about files that were left out.

    With `lenient` a file that cannot be read is left out and named in the page, as long as another one can be read.
    With `images_alone` nothing of the files' measurements is in the page.
    """
    facts = page_facts(list(paths))
    if images_alone:
        facts["files"] = [file | NO_MEASUREMENT for file in facts["files"]]
    files = list(zip(paths, facts["files"], strict=True))
    damaged = [(path, file) for path, file in files if "problem" in file]
    if damaged and (len(damaged) == len(files) or not lenient):
        path, file = damaged[0]
        raise FileError(path, file["problem"].removeprefix(f"{file['name']}: "))
    n_scene = max(file["n_scene"] for _, file in files)
    for scene in scenes or ():
        if not 0 <= scene < n_scene:
            raise FileError(
                next(path for path, file in files if file["n_scene"] == n_scene),
                f"there is no scene {scene}: expected one of scenes 0 to {n_scene - 1}",
            )
    chosen = list(range(n_scene)) if scenes is None else list(dict.fromkeys(scenes))
    facts |= {"scenes": chosen, "state": state}
    parts = _data_parts(paths, facts, images_alone)
    shaders = {name: page_files.read(name) for name in page_files.SHADERS}
    page = page_files.read("index.html")
    head, tail = page.index("<!-- files: start -->"), page.index("<!-- files: end -->")
    inlined = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<style>\n{page_files.read('style.css')}</style>\n"
        f"{_json_part('embedded-facts', facts)}{_json_part('embedded-shaders', shaders)}"
        f'{"".join(parts)}<script type="module">\n{page_files.joined_scripts()}</script>\n'
    )
    return page[:head] + inlined + page[tail:], [file["problem"] for _, file in damaged]


def _data_parts(paths: Sequence[Path], facts: dict[str, Any], images_alone: bool) -> list[str]:
    parts, size = [], 0
    for f, (path, file) in enumerate(zip(paths, facts["files"], strict=True)):
        parts.append(_json_part(f"setup/{f}", {} if images_alone else setup_facts(path)))
        for scene in (s for s in facts["scenes"] if s < file["n_scene"]):
            packets = {f"volume/{f}/{i}/{scene}": volume_packet(path, i, scene) for i in range(len(file["items"]))}
            phases = {f"phase/{f}/{i}/{scene}": phase_packet(path, i, scene) for i in range(len(file["items"]))}
            packets |= {name: content for name, content in phases.items() if unpack(content)[0]["complex"]}
            packets[f"measurement/{f}/{scene}"] = NO_PACKET if images_alone else measurement_packet(path, scene)
            for name, content in packets.items():
                parts.append(_packet_part(name, content))
                size += len(parts[-1])
            for i in range(len(file["items"])):
                if unpack(packets[f"volume/{f}/{i}/{scene}"])[0].get("peak"):
                    parts.append(_json_part(f"scores/{f}/{i}/{scene}", scores(path, i, scene)))
            if size > MOST_BYTES:
                raise ValueError(
                    f"the page would hold more than {MOST_BYTES // 2**20} MiB after scene {scene}: choose fewer scenes"
                )
    return parts


def _packet_part(name: str, content: bytes) -> str:
    text = base64.b64encode(gzip.compress(content, compresslevel=3, mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


def _json_part(name: str, value: Any) -> str:
    """Return JSON in a script element; ``<`` is escaped, so that no text in it can end the element."""
    text = json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'
