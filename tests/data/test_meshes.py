"""Meshes: what other programs write is read; damaged, huge and hostile files are refused in one line."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
from helper import fails

from mimo.data import FileError
from mimo.data.files.meshes import Mesh, read_mesh

VERTICES = np.array([[0, 0, 0], [2, 0, 0], [2, 3, 0.5], [0, 3, 0.25], [1, 1, -4.0]])
FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 4]])
CORNERS = VERTICES[FACES]


def ply(kind: str, faces: list[list[int]], *, extra: bool = False, order: str = "<") -> bytes:
    """A PLY as text or binary; with `extra` also properties and an element that mean nothing here."""
    more = ["property uchar red"] if extra else []
    lines = ["ply", f"format {kind} 1.0", "comment made by a test", f"element vertex {len(VERTICES)}"]
    lines += ["property double x", "property double y", *more, "property float z"]
    lines += [f"element face {len(faces)}", *(["property short flags"] if extra else [])]
    lines += ["property list uchar int vertex_indices"]
    lines += ["element edge 1", "property int vertex1"] if extra else []
    head = "\n".join([*lines, "end_header", ""]).encode()
    if kind == "ascii":
        rows = [f"{x} {y} {'7 ' if extra else ''}{z}" for x, y, z in VERTICES]
        rows += [f"{'5 ' if extra else ''}{len(f)} {' '.join(map(str, f))}" for f in faces]
        return head + "\n".join([*rows, *(["3"] if extra else []), ""]).encode()
    body = b"".join(
        struct.pack(order + "dd", x, y) + (b"\x07" if extra else b"") + struct.pack(order + "f", z)
        for x, y, z in VERTICES
    )
    for face in faces:
        body += struct.pack(order + "h", 5) if extra else b""
        body += bytes([len(face)]) + struct.pack(f"{order}{len(face)}i", *face)
    return head + body + (struct.pack(order + "i", 3) if extra else b"")


@pytest.mark.parametrize("kind", ["stl", "stl_ascii", "ply", "ply_ascii", "obj"])
def test_what_trimesh_writes(tmp_path, kind):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    made = trimesh.Trimesh(VERTICES, FACES, process=False)
    suffix, _, coding = kind.partition("_")
    options = {"encoding": "ascii"} if kind == "ply_ascii" else {}
    written = made.export(file_type=kind if suffix == "stl" else suffix, **options)
    (tmp_path / f"a.{suffix.upper()}").write_bytes(written if isinstance(written, bytes) else written.encode())
    mesh = read_mesh(tmp_path / f"a.{suffix.upper()}")
    np.testing.assert_allclose(mesh.triangles, CORNERS, atol=1e-6)
    assert coding in ("", "ascii")


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_of_every_kind_with_polygons(tmp_path, kind, extra):
    order = ">" if "big" in kind else "<"
    path = tmp_path / "a.ply"
    path.write_bytes(ply(kind, FACES.tolist(), extra=extra, order=order))
    np.testing.assert_allclose(read_mesh(path).triangles, CORNERS)
    path.write_bytes(ply(kind, [[0, 1, 2, 3], [0, 1, 4]], extra=extra, order=order))
    np.testing.assert_allclose(read_mesh(path).triangles, CORNERS)
    path.write_bytes(ply(kind, [], extra=extra, order=order))  # points alone
    cloud = read_mesh(path)
    np.testing.assert_allclose(cloud.vertices, VERTICES)
    assert cloud.triangles.shape == (0, 3, 3)


def test_obj_with_polygons_textures_and_negative_corners(tmp_path):
    lines = [f"v {x} {y} {z}" for x, y, z in VERTICES]
    lines += ["vn 0 0 1", "vt 0 0", "# a comment", "", "o thing", "usemtl none"]
    lines += ["f 1/1/1 2/1/1 3//1 4", "f -5 -4 -1"]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    np.testing.assert_allclose(read_mesh(tmp_path / "a.obj").triangles, CORNERS)


def test_a_binary_stl_that_begins_with_solid_and_triangles_without_area(tmp_path):
    records = np.zeros(4, [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")])
    records["c"][:3] = CORNERS
    (tmp_path / "a.stl").write_bytes(b"solid not a text".ljust(80) + struct.pack("<I", 4) + records.tobytes())
    np.testing.assert_allclose(read_mesh(tmp_path / "a.stl").triangles, CORNERS, atol=1e-6)


def test_moved_takes_the_vertices_through_a_matrix():
    matrix = np.array([[0, -2.0, 0, 5], [1, 0, 0, 0], [0, 0, 1, 7], [0, 0, 0, 1]])
    moved = Mesh(VERTICES, FACES).moved(matrix)
    x, y, z = VERTICES.T
    np.testing.assert_allclose(moved.vertices, np.stack([5 - 2 * y, x, z + 7], axis=-1))


BINARY = ply("binary_little_endian", FACES.tolist())
TEXT = ply("ascii", FACES.tolist())
SOLID = "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex {}\nendloop\nendfacet\nendsolid\n"
BAD = {
    "a.off": (b"OFF", ("'.off'", ".stl, .ply, .obj")),
    "empty.stl": (b"", ("0 bytes", "whole STL")),
    "short.stl": (bytes(80) + struct.pack("<I", 7) + bytes(100), ("184 bytes", "434")),
    "count.stl": (bytes(80) + struct.pack("<I", 4_000_000_000) + bytes(50), ("134 bytes",)),
    "word.stl": (SOLID.format("0 1 q").encode(), ("line 6", "0 1 q", "3 numbers")),
    "cut.stl": (SOLID.format("0 1 0").encode()[:-10], ("3 corners", "endsolid")),
    "two.stl": (SOLID.replace("vertex {}\n", "").encode(), ("2 corners",)),
    "nan.stl": (SOLID.format("0 1 nan").encode(), ("not finite",)),
    "flat.stl": (SOLID.format("2 0 0").encode(), ("no triangle with an area",)),
    "endless.stl": (b"solid " + b"x" * 20_000, ("line 1", "10000 bytes")),
    "none.obj": (b"# nothing\n", ("no vertices",)),
    "zero.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", ("line 4", "from 1")),
    "far.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", ("vertex 8", "0 to 2")),
    "back.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -9\n", ("-6", "0 to 2")),
    "edge.obj": (b"v 0 0 0\nv 1 0 0\nf 1 2\n", ("line 3", "3 numbers")),
    "text.obj": (b"v 0 0\n", ("line 1", "3 numbers")),
    "head.ply": (b"plywood\n", ("begin with ply",)),
    "open.ply": (b"ply\nformat ascii 1.0\n", ("no end_header",)),
    "noformat.ply": (b"ply\nend_header\n", ("no format",)),
    "odd.ply": (TEXT.replace(b"comment", b"commend"), ("line 3", "commend")),
    "type.ply": (TEXT.replace(b"float z", b"quad z"), ("quad z", "header")),
    "noz.ply": (TEXT.replace(b"float z", b"float w"), ("x, y, w", "x, y and z")),
    "key.ply": (TEXT.replace(b"vertex_indices", b"corners"), ("corners", "vertex_indices")),
    "row.ply": (TEXT.replace(b"3 0 2 3", b"4 0 2 3"), ("face 1", "4 0 2 3")),
    "minus.ply": (TEXT.replace(b"3 0 2 3", b"-1 0 2 3"), ("face 1",)),
    "cutbody.ply": (BINARY[:-3], ("ends within face",)),
    "many.ply": (BINARY.replace(b"face 3", b"face 4000000"), ("ends within face", "4000000")),
    "toomany.ply": (BINARY.replace(b"face 3", b"face 99999999999"), ("99999999999", "at most 5000000")),
    "index.ply": (ply("binary_little_endian", [[0, 1, 77]]), ("vertex 77", "0 to 4")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_in_one_line(tmp_path, name):
    content, parts = BAD[name]
    (tmp_path / name).write_bytes(content)
    fails((name, *parts), lambda: read_mesh(tmp_path / name))


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.stl")
    (tmp_path / "folder.ply").mkdir()
    for name in ("pipe.stl", "folder.ply"):
        fails((name, "no regular file"), lambda name=name: read_mesh(tmp_path / name))
    fails(("none.stl", "cannot be read"), lambda: read_mesh(tmp_path / "none.stl"))


def test_a_mesh_beyond_the_limit_is_refused_before_memory_is_taken(tmp_path):
    with (tmp_path / "huge.stl").open("wb") as file:  # sparse: it takes no room
        file.write(bytes(80) + struct.pack("<I", 20_000_000))
        file.truncate(84 + 50 * 20_000_000)
    with (tmp_path / "huge.ply").open("wb") as file:
        file.write(BINARY.replace(b"face 3", b"face 20000000"))
        file.truncate(2**30)
    tracemalloc.start()
    for name in ("huge.stl", "huge.ply"):
        fails((name, "20000000", "at most 5000000"), lambda name=name: read_mesh(tmp_path / name))
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_random_bytes_in_a_file_never_break_the_reader(tmp_path):
    """A flipped byte gives a mesh or one line, never another error."""
    rng = np.random.default_rng(0)
    sources = {
        "a.ply": (BINARY, TEXT),
        "a.stl": (SOLID.format("0 1 0").encode(),),
        "a.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",),
    }
    messages: list[str] = []
    for name, contents in sources.items():
        for content in contents:
            for _ in range(60):
                spoiled = bytearray(content)
                for _ in range(rng.integers(1, 4)):
                    spoiled[rng.integers(len(spoiled))] = rng.integers(256)
                (tmp_path / name).write_bytes(spoiled)
                try:
                    read_mesh(tmp_path / name)
                except FileError as error:
                    messages.append(str(error))
    assert len(messages) > 20 and all(str(tmp_path) in text and "\n" not in text for text in messages)
