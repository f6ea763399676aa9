"""Read triangle meshes and point clouds: STL (binary and text), PLY (binary and text), OBJ.

Files are untrusted: counts are checked against the size of the file before memory is taken, and text is read a line at
a time, so that memory is bounded by `MOST` triangles and vertices (about 1 GB), whatever a file claims.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mimo.data.files.schema import FileError

__all__ = ["MESH_SUFFIXES", "MOST", "Mesh", "read_mesh"]

MOST = 5_000_000
"""Most triangles, and most vertices, of a mesh: 360 MB of corners."""
LONGEST_LINE = 10_000
"""Most bytes in a line of text; a polygon of a thousand corners fits."""
PLY_TYPES = (
    {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
    | {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4"}
    | {"double": "f8", "float64": "f8"}
)
PLY_FORMATS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Holds the triangles of a surface, or points alone.

    Attributes
    ----------
    vertices
        float64 ``(n_vertex, 3)``, in the unit of the file.
    faces
        int64 ``(n_face, 3)``, vertices of each triangle; none for a point cloud.
    """

    vertices: Floats
    faces: Ints

    @property
    def triangles(self) -> Floats:
        """Corners of each triangle, ``(n_face, 3, 3)``."""
        return self.vertices[self.faces]

    def moved(self, matrix: npt.ArrayLike) -> Mesh:
        """Return the mesh with its vertices taken through an affine matrix ``(4, 4)``."""
        matrix = np.asarray(matrix, float)
        return Mesh(self.vertices @ matrix[:3, :3].T + matrix[:3, 3], self.faces)


def read_mesh(path: str | PathLike[str]) -> Mesh:
    """Read the triangles of an STL, PLY or OBJ file, or the points of a PLY or OBJ without faces.

    Polygons are cut into triangles around their first corner. Colours, normals and textures are left out, and so are
    triangles of no area. Vertices that an STL repeats for each triangle stay apart.

    Raises
    ------
    FileError
        When the file is missing, no regular file, damaged or empty, larger than `MOST`, or has another suffix; names
        the file, the place in it, and what was expected.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise FileError(path, f"ends in {path.suffix!r}: expected a mesh, {', '.join(READERS)}")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(path, "is no regular file: expected a mesh, STL, PLY or OBJ")
        with path.open("rb") as file:
            vertices, faces = READERS[path.suffix.lower()](path, file, status.st_size)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected a mesh, STL, PLY or OBJ") from error
    return _checked(path, vertices, faces)


def _checked(path: Path, vertices: Floats, faces: Ints) -> Mesh:
    if not len(vertices):
        raise FileError(path, "holds no vertices: expected a surface or points")
    if not np.isfinite(vertices).all():
        raise FileError(path, "has vertices that are not finite: expected numbers")
    had_faces = len(faces) > 0
    if had_faces and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise FileError(
            path, f"has a face with vertex {faces.max()} or {faces.min()}: expected 0 to {len(vertices) - 1}"
        )
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    faces = faces[np.cross(b - a, c - a).any(axis=1)]
    if had_faces and not len(faces):
        raise FileError(path, "has no triangle with an area: expected a surface")
    return Mesh(vertices, faces)


def _refuse_size(path: Path, n: int, what: str) -> None:
    if n > MOST:
        raise FileError(path, f"has {n} {what}: expected at most {MOST}, a coarser mesh")


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of each line and its words; FileError for a line without end."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise FileError(path, f"line {number} is longer than {LONGEST_LINE} bytes: expected a mesh as text")
        yield number, line.split()


def _numbers(path: Path, number: int, words: list[bytes], kind: Callable[[bytes], Any], n: int) -> list[Any]:
    """Return the first `n` words of a line as numbers."""
    try:
        found = [kind(word) for word in words[:n]]
    except ValueError:
        found = []
    if len(found) != n:
        shown = b" ".join(words)[:60].decode("ascii", "replace")
        raise FileError(path, f"line {number} has {shown!r}: expected {n} numbers")
    return found


def _read_stl(path: Path, file: BinaryIO, size: int) -> tuple[Floats, Ints]:
    """Read an STL: binary where its count fits its size, whatever its first word; else text."""
    head = file.read(84)
    count = int.from_bytes(head[80:84], "little") if len(head) == 84 else -1
    is_text = head.lstrip()[:5].lower() == b"solid"
    if count < 0 or (size != 84 + 50 * count if is_text else size < 84 + 50 * count):
        if not is_text:
            raise FileError(
                path, f"has {size} bytes, a binary STL of {max(count, 0)} triangles has {84 + 50 * max(count, 0)}: "
                "expected a whole STL, binary or text"
            )  # fmt: skip
        file.seek(0)
        return _read_stl_text(path, file)
    _refuse_size(path, count, "triangles")
    records = np.fromfile(file, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]), count)
    return _soup(records["corners"].astype(np.float64).reshape(-1, 3))


def _read_stl_text(path: Path, file: BinaryIO) -> tuple[Floats, Ints]:
    corners = array("d")
    ended = False
    for number, words in _lines(path, file):
        if words and words[0].lower() == b"vertex":
            corners.extend(_numbers(path, number, words[1:], float, 3))
            _refuse_size(path, len(corners) // 9, "triangles")
        elif words and words[0].lower() == b"endsolid":
            ended = True
    if not ended or len(corners) % 9:
        raise FileError(path, f"ends after {len(corners) // 3} corners: expected three a triangle, then endsolid")
    return _soup(np.array(corners).reshape(-1, 3))


def _soup(corners: Floats) -> tuple[Floats, Ints]:
    return corners, np.arange(len(corners), dtype=np.int64).reshape(-1, 3)


def _read_obj(path: Path, file: BinaryIO, size: int) -> tuple[Floats, Ints]:
    """Read the lines v and f of an OBJ; of a corner ``vertex/texture/normal`` only the vertex counts."""
    vertices, faces = array("d"), array("q")
    for number, words in _lines(path, file):
        if not words:
            continue
        if words[0] == b"v":
            vertices.extend(_numbers(path, number, words[1:], float, 3))
            _refuse_size(path, len(vertices) // 3, "vertices")
        elif words[0] == b"f":
            corners = _numbers(path, number, [w.split(b"/")[0] for w in words[1:]], int, max(3, len(words) - 1))
            if 0 in corners:
                raise FileError(path, f"line {number} has a corner 0: expected vertices from 1, or from -1 backwards")
            faces.extend(_fan([c - 1 if c > 0 else len(vertices) // 3 + c for c in corners]))
            _refuse_size(path, len(faces) // 3, "triangles")
    return np.array(vertices).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)


@dataclass
class _Element:
    """An element of a PLY's header: its name, how many there are, and its properties as (name, type, type of count)."""

    name: str
    count: int
    properties: list[tuple[str, str, str]]

    @property
    def fixed(self) -> bool:
        """Whether no property is a list."""
        return not any(counted for _, _, counted in self.properties)


def _read_ply(path: Path, file: BinaryIO, size: int) -> tuple[Floats, Ints]:
    order, elements = _ply_header(path, file)
    vertices, faces = np.empty((0, 3)), np.empty((0, 3), np.int64)
    for element in elements:
        _refuse_size(path, element.count, f"of {element.name}")
        least = 2 if not order else sum(np.dtype(counted or kind).itemsize for _, kind, counted in element.properties)
        if element.count * least > size - file.tell():
            raise FileError(path, f"ends within {element.name}: expected {element.count} of them, as the header says")
        names = [name for name, _, _ in element.properties]
        wanted = element.name == "vertex" or (element.name == "face" and not element.fixed)
        rows = _ply_text(path, file, element, wanted) if not order else _ply_binary(path, file, order, element, wanted)
        if element.name == "vertex":
            if not {"x", "y", "z"} <= set(names) or not element.fixed:
                raise FileError(path, f"has vertices with {', '.join(names) or 'nothing'}: expected x, y and z")
            vertices = np.stack([rows[axis].astype(np.float64) for axis in "xyz"], axis=-1)
        elif element.name == "face" and wanted:
            key = next((n for n in ("vertex_indices", "vertex_index") if n in names), None)
            if key is None:
                raise FileError(path, f"has faces with {', '.join(names)}: expected vertex_indices")
            faces = rows[key]
    return vertices, faces


def _ply_header(path: Path, file: BinaryIO) -> tuple[str, list[_Element]]:
    """Return the byte order, empty for text, and the elements; leave the file at the first of them."""
    order: str | None = None
    elements: list[_Element] = []
    for number, words in _lines(path, file):
        texts = [word.decode("ascii", "replace") for word in words]
        if number == 1 and texts != ["ply"]:
            raise FileError(path, "does not begin with ply: expected a PLY file")
        match texts:
            case ["format", name, *_] if name in PLY_FORMATS:
                order = PLY_FORMATS[name]
            case ["element", name, count] if count.isdigit() and len(elements) < 100:
                elements.append(_Element(name, int(count), []))
            case ["property", "list", counted, kind, name] if elements and {counted, kind} <= set(PLY_TYPES):
                elements[-1].properties.append((name, PLY_TYPES[kind], PLY_TYPES[counted]))
            case ["property", kind, name] if elements and kind in PLY_TYPES and len(elements[-1].properties) < 1000:
                elements[-1].properties.append((name, PLY_TYPES[kind], ""))
            case ["end_header"]:
                if order is None:
                    raise FileError(path, f"has no format: expected one of {', '.join(PLY_FORMATS)}")
                return order, elements
            case ["ply"] | ["comment" | "obj_info", *_] | []:
                pass
            case _:
                raise FileError(path, f"line {number} has {' '.join(texts)[:60]!r}: expected a PLY header")
    raise FileError(path, "has no end_header: expected a PLY file")


def _ply_binary(path: Path, file: BinaryIO, order: str, element: _Element, wanted: bool) -> dict[str, Any]:
    """Read the rows of an element; a list of vertices comes back as triangles."""
    if element.fixed:
        rows = np.dtype([(str(i), order + kind) for i, (_, kind, _) in enumerate(element.properties)])
        found: Any = np.fromfile(file, rows, element.count)
        return {name: found[str(i)] for i, (name, _, _) in enumerate(element.properties)}
    if (found_triangles := _only_triangles(file, order, element)) is not None:
        return found_triangles
    lists = {name: array("q") for name, _, _ in element.properties}
    for _ in range(element.count):
        for name, kind, counted in element.properties:
            n = 1
            if counted:
                n = int(_some(path, file, element, order + counted, 1)[0])
                if not 0 <= n <= LONGEST_LINE:
                    raise FileError(path, f"has a {element.name} of {n} corners: expected at most {LONGEST_LINE}")
            values = _some(path, file, element, order + kind, n)
            if wanted and counted:
                lists[name].extend(_fan(values.astype(np.int64).tolist()))
                _refuse_size(path, len(lists[name]) // 3, "triangles")
    return {name: np.array(rows, np.int64).reshape(-1, 3) for name, rows in lists.items()}


def _some(path: Path, file: BinaryIO, element: _Element, kind: str, n: int) -> npt.NDArray[Any]:
    raw = file.read(np.dtype(kind).itemsize * n)
    if len(raw) < np.dtype(kind).itemsize * n:
        raise FileError(path, f"ends within {element.name}: expected {element.count} of them, as the header says")
    return np.frombuffer(raw, kind)


def _only_triangles(file: BinaryIO, order: str, element: _Element) -> dict[str, Any] | None:
    """Read faces at once where each is a triangle, as nearly all are; else leave the file where it was."""
    lists = [name for name, _, counted in element.properties if counted]
    if len(lists) != 1:
        return None
    parts: list[Any] = []
    for i, (_, kind, counted) in enumerate(element.properties):
        parts += [(f"n{i}", order + counted), (f"v{i}", order + kind, 3)] if counted else [(f"v{i}", order + kind)]
    start = file.tell()
    found = np.fromfile(file, np.dtype(parts), element.count)
    at = next(i for i, (_, _, counted) in enumerate(element.properties) if counted)
    if len(found) < element.count or (found[f"n{at}"] != 3).any():
        file.seek(start)
        return None
    return {lists[0]: found[f"v{at}"].astype(np.int64)}


def _ply_text(path: Path, file: BinaryIO, element: _Element, wanted: bool) -> dict[str, Any]:
    """Read the rows of an element of a text file, a line each."""
    columns = {name: array("q" if counted else "d") for name, _, counted in element.properties}
    for row in range(element.count):
        line = file.readline(LONGEST_LINE)
        words = line.split()
        for name, kind, counted in element.properties:
            n = 1
            values: list[Any] | None = None
            with suppress(ValueError, IndexError):
                if counted:
                    n, words = int(words[0]), words[1:]
                values = [float(word) if kind[0] == "f" and not counted else int(word) for word in words[:n]]
            if values is None or len(values) != n:
                shown = line[:60].decode("ascii", "replace")
                raise FileError(path, f"{element.name} {row} has {shown!r}: expected {', '.join(columns)}")
            words = words[n:]
            if wanted:
                columns[name].extend(_fan(values) if counted else values)
                _refuse_size(path, len(columns[name]) // 3, f"of {element.name}")
    found = {name: np.array(column) for name, column in columns.items()}
    return {name: column.reshape(-1, 3) if column.dtype.kind == "i" else column for name, column in found.items()}


def _fan(corners: list[int]) -> list[int]:
    """Cut a polygon into triangles around its first corner, and return their corners one after another."""
    return [corner for b, c in pairwise(corners[1:]) for corner in (corners[0], b, c)]


READERS: dict[str, Callable[[Path, BinaryIO, int], tuple[Floats, Ints]]] = {
    ".stl": _read_stl,
    ".ply": _read_ply,
    ".obj": _read_obj,
}
MESH_SUFFIXES = tuple(READERS)
"""Suffixes that `read_mesh` reads."""
