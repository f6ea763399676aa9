"""The server: the named files and nothing else, to the page it gave out and nobody else."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from helper import fails
from served import exchange, served
from viewer_samples import embedded, make_file, spoil, truncate

from mimo import data
from mimo.commands import command_line as app
from mimo.viewer import page_files
from mimo.viewer.payload import unpack
from mimo.viewer.server import MOST_HEAD, MOST_TARGET, allowed_hosts, serve
from mimo.viewer.standalone import save_html


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    path = make_file(folder / "images.h5")
    shutil.copy(path, folder / "other.h5")
    (folder / "secret.txt").write_text("secret")
    with served(path, truncate(make_file(folder / "cut.h5"))) as address:
        yield address


def ask(address, path="", *, method="GET", headers=None, body=None):
    """Status, headers and body of a request below the token; `path` from / replaces it."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request(
            method, path if path.startswith("/") else parts.path + path, body=body, headers=headers or {}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def status(address, path="", **options):
    return ask(address, path, **options)[0]


WITHOUT_MATPLOTLIB = """
import sys
sys.path.insert(0, {tests!r})
from test_server import ask
from served import served
from mimo.viewer import save_html
from pathlib import Path
path = Path({path!r})
for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
    raise SystemExit(f"{{name}} is loaded with the server")
with served(path) as site:
    for asked in ("", "facts", "versions", "file/0", "volume/0/1/0", "phase/0/1/0", "scores/0/1/0", "measurement/0/0", "setup/0", "standalone?scene=0"):
        code = ask(site, asked)[0]
        assert code == 200, (asked, code)
    save_html([path], path.with_suffix(".html"))
    assert "matplotlib" not in sys.modules
    assert ask(site, "figure/0/0")[0] == 200
assert "matplotlib" in sys.modules
"""


def test_matplotlib_is_loaded_only_when_a_figure_is_asked_for(tmp_path):
    path = make_file(tmp_path / "a.h5")
    folder = Path(__file__).parent
    program = WITHOUT_MATPLOTLIB.format(tests=str(folder), path=str(path))
    where = os.pathsep.join([str(folder.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": where}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_page_and_its_files(site):
    code, headers, body = ask(site)
    assert code == 200
    assert headers["content-type"].startswith("text/html")
    for link in re.findall(r'(?:src|href)="([^"]+)"', body.decode()):
        assert link.startswith("data:") or status(site, link) == 200, link
    for name in page_files.served_names():
        code, headers, body = ask(site, f"static/{name}")
        assert code == 200
        assert headers["content-type"].startswith(("text/javascript", "text/css", "text/plain"))
        assert body.decode() == (page_files.STATIC / name).read_text()


def test_every_answer_carries_the_security_headers(site):
    for path in ("", "facts", "volume/0/0/0", "nothing", "/"):
        _, headers, _ = ask(site, path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_data_by_index(site):
    facts = json.loads(ask(site, "facts")[2])
    assert [file["name"] for file in facts["files"]] == ["images.h5", "cut.h5"]
    assert "problem" in facts["files"][1]
    assert json.loads(ask(site, "file/0")[2]) == facts["files"][0]
    version = facts["files"][0]["version"]
    header, body = unpack(ask(site, f"volume/0/1/2?version={version}")[2])
    assert (header["name"], len(body)) == ("alpha", 2 * 5 * 7 * 11)
    assert unpack(ask(site, "measurement/0/1")[2])[0]["scene"] == 1
    assert set(json.loads(ask(site, "scores/0/1/0")[2])) == {"psnr", "ssim"}
    code, headers, body = ask(site, "figure/0/1")
    assert (code, headers["content-type"], body[:4]) == (200, "image/png", b"\x89PNG")
    assert ask(site, "figure/0/1?colors=gray")[2] != body == ask(site, "figure/0/1?colors=inferno")[2]
    assert (status(site, "figure/1/0"), status(site, "figure/0/1?colors=rainbow")) == (422, 400)
    assert unpack(ask(site, "volume/0/0/0?version=old")[2]) == ({"changed": True}, b"")


@pytest.mark.parametrize("path", ["facts", "", "static/main.js", "volume/0/0/0"])
def test_without_the_token_there_is_nothing(site, path):
    token = urlsplit(site).path.strip("/")
    assert len(token) >= 32
    for start in (
        "/",
        f"/{token[:-1]}/",
        f"/{token}x/",
        f"/{'A' * len(token)}/",
        f"/{token.swapcase()}/",
        f"//{token}/",
    ):
        assert status(site, start + path) == 404


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "static/../server.py",
        "static/../../../secret.txt",
        "static/%2e%2e/server.py",
        "static/..%2fserver.py",
        "static//etc/passwd",
        "static/%00",
        "volume/../../secret.txt/0/0",
        "file/2",
        "file/-1",
        "file/0.h5",
        "file/other.h5",
        "volume/9/0/0",
        "volume/x/0/0",
        "volume/0/0",
        "files",
    ],
)
def test_nothing_else_is_served_by_any_path(site, path):
    code, _, body = ask(site, path)
    assert code == 404
    assert b"secret" not in body
    assert b"root:" not in body


def test_the_tokens_path_is_not_left_by_dots(site):
    base = urlsplit(site).path
    for path in (f"{base}../secret.txt", f"{base}..%2f..%2fetc/passwd", f"/../{base}facts", f"/.{base}facts"):
        assert status(site, path) == 404


@pytest.mark.parametrize("item", ["volume/0/99/0", "volume/0/0/99", "volume/0/0/99999999999999999999", "scores/0/9/9"])
def test_an_index_out_of_range_is_a_message_not_a_failure(site, item):
    code, _, body = ask(site, item)
    assert code == 200
    assert body == b"{}" or "there is no" in unpack(body)[0]["problem"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "[::1]:{port}", ""]
)
def test_a_foreign_host_is_refused(site, host):
    given = host.format(port=urlsplit(site).port)
    code, _, body = ask(site, "facts", headers={"Host": given})
    assert code in (400, 403)
    assert b"images.h5" not in body


def test_two_hosts_or_none_are_refused(site):
    parts = urlsplit(site)
    for hosts in (f"Host: 127.0.0.1:{parts.port}\r\nHost: evil.example\r\n", ""):
        answer = exchange(parts.port, f"GET {parts.path}facts HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
        assert answer.split(b" ")[1] in (b"400", b"403")


def test_localhost_is_this_machine(site):
    assert status(site, "facts", headers={"Host": f"localhost:{urlsplit(site).port}"}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_refused(site, headers):
    filled = {name: value.format(port=urlsplit(site).port) for name, value in headers.items()}
    assert status(site, "facts", headers=filled) == 403
    own = {"Origin": f"http://{urlsplit(site).netloc}", "Sec-Fetch-Site": "same-origin"}
    code, answered, _ = ask(site, "facts", headers=own)
    assert code == 200
    assert "access-control-allow-origin" not in answered


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_only_reads(site, method):
    assert status(site, "facts", method=method) == 405


def test_bodies_and_long_requests_are_refused(site):
    parts = urlsplit(site)
    assert status(site, "facts", body=b"x" * 10) == 413
    assert status(site, "facts?" + "a" * MOST_TARGET) == 414
    head = f"GET {parts.path}facts HTTP/1.1\r\nHost: {parts.netloc}\r\nX: ".encode()
    for request in (
        head + b"a" * 4 * MOST_HEAD,
        head.replace(b"facts", b"facts?" + b"a" * 4 * MOST_HEAD) + b"\r\n\r\n",
    ):
        answer = exchange(parts.port, request)
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"414", b"431")
        assert b"images.h5" not in answer
    assert status(site, "standalone?state=" + "a" * 5000) == 400
    assert status(site, "standalone?scene=x") == 400
    assert status(site, "standalone?scene=77") == 422
    assert status(site, "facts") == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbroken\r\n\r\n",
        b"\r\n" * 50,
    ],
)
def test_malformed_requests_are_refused_and_survived(site, request_):
    answer = exchange(urlsplit(site).port, request_ + b"\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer == b"" or answer.split(b" ")[1].startswith(b"4")
    assert status(site, "facts") == 200


def test_it_listens_on_loopback_alone(site):
    port = urlsplit(site).port
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {"127.0.0.1"}
    for other in [address for address in others if not address.startswith("127.")]:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((other, port), timeout=2)
    assert urlsplit(site).hostname == "127.0.0.1"
    assert allowed_hosts("192.0.2.7", 80) == {"192.0.2.7:80", "127.0.0.1:80", "localhost:80"}
    assert allowed_hosts("0.0.0.0", 80) == set()  # noqa: S104 - asked for by name
    fails(("192.0.2.7", "cannot listen"), lambda: serve([], host="192.0.2.7"))


def test_another_interface_needs_the_token_too(tmp_path):
    with served(make_file(tmp_path / "a.h5"), host="0.0.0.0") as address:  # noqa: S104 - what is tested
        here = address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert status(here, "facts", headers={"Host": "radar.example:8000"}) == 200
        assert status(here, "/facts") == 404


def test_a_file_deleted_or_rewritten_is_survived(tmp_path):
    path = make_file(tmp_path / "a.h5")
    with served(path) as site:
        first = json.loads(ask(site, "versions")[2])
        assert len(unpack(ask(site, f"volume/0/1/0?version={first[0]}")[2])[1]) == 770
        before = json.loads(ask(site, "scores/0/1/0")[2])
        content = path.read_bytes()
        path.unlink()
        assert json.loads(ask(site, "versions")[2]) == ["absent"]
        assert "no such file" in json.loads(ask(site, "file/0")[2])["problem"]
        assert unpack(ask(site, f"volume/0/1/0?version={first[0]}")[2])[0] == {"changed": True}
        assert "no such file" in unpack(ask(site, "volume/0/1/0")[2])[0]["problem"]
        path.write_bytes(content[:3000])
        assert "a.h5" in json.loads(ask(site, "file/0")[2])["problem"]
        make_file(path, seed=4)
        second = json.loads(ask(site, "versions")[2])
        assert second != first
        expected = np.abs(data.load_reconstructions(path)["alpha"].image[0])
        header, _ = unpack(ask(site, f"volume/0/1/0?version={second[0]}")[2])
        assert header["peak"] == pytest.approx(expected.max(), rel=1e-6)
        assert json.loads(ask(site, "scores/0/1/0")[2]) != before


def test_the_saved_page_holds_everything_and_asks_for_nothing(tmp_path, site):
    path = make_file(tmp_path / "a.h5", n_scene=2)
    spoil(path, "reconstruction/beta/magnitude", (1, 0, 0, 0), np.nan)
    save_html([path], tmp_path / "a.html", state="mode=surface")
    text = (tmp_path / "a.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "import " not in "".join(re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL))
    facts = embedded(text, "embedded-facts")
    assert (facts["scenes"], facts["state"]) == ([0, 1], "mode=surface")
    assert {f'id="volume/0/{i}/{s}"' in text for i in range(3) for s in range(2)} == {True}
    assert set(embedded(text, "scores/0/1/1")) == {"psnr", "ssim"}
    assert list(tmp_path.glob(".*")) == []
    fails(("a.h5", "no scene 5", "0 to 1"), lambda: save_html([path], tmp_path / "b.html", scenes=[5]))
    assert not (tmp_path / "b.html").exists()


def test_a_damaged_file_is_left_out_of_the_saved_page_and_named(tmp_path):
    good, bad = make_file(tmp_path / "скан.h5"), make_file(tmp_path / "плохо.h5")
    with served(bad, good) as site:
        bad.unlink()
        code, headers, body = ask(site, "standalone?scene=1")
        assert code == 200
        assert headers["content-disposition"].isascii()
        assert unquote(headers["x-left-out"]).startswith("плохо.h5: no such file")
        files = embedded(body.decode(), "embedded-facts")["files"]
        assert [file["name"] for file in files] == ["плохо.h5", "скан.h5"]
        assert [len(file["items"]) for file in files] == [0, 3]
        assert files[0]["problem"].startswith("плохо.h5: no such file")
        truncate(good)
        code, _, body = ask(site, "standalone?scene=1")
        assert (code, body.decode().split(":")[0]) == (422, "плохо.h5")
    with served(make_file(tmp_path / "скан.h5")) as site:
        code, headers, _ = ask(site, "standalone?scene=1")
        assert code == 200
        assert headers["x-left-out"] is None
        code, _, body = ask(site, "standalone?scene=7")
        assert (code, body.decode().split(":")[0]) == (422, "скан.h5")
    fails(("плохо.h5", "no such file"), lambda: save_html([tmp_path / "скан.h5", bad], tmp_path / "b.html"))


def test_text_in_a_file_cannot_end_a_script(tmp_path):
    path = make_file(tmp_path / "a.h5", n_scene=1)
    measurement = data.load(path)
    evil = "</script><script>alert(1)</script>"
    image = data.load_reconstructions(path)["alpha"]
    named = data.Reconstruction("m", image.image, image.grid, {"note": evil}, image.seconds)
    parts = {name: getattr(measurement, name) for name in ("values", "array", "sweep", "grid")}
    data.save(path, data.Measurement(**parts, source=evil), reconstructions=[named])
    save_html(path, tmp_path / "a.html", state=evil)
    assert evil not in (tmp_path / "a.html").read_text()
    assert embedded((tmp_path / "a.html").read_text(), "embedded-facts")["files"][0]["source"] == evil


def test_modules_can_be_joined_into_one():
    names = []
    for script in page_files.SCRIPTS:
        text = page_files.read(script)
        names += re.findall(r"^(?:export )?(?:async )?(?:function|class|const|let)\s+(\w+)", text, re.MULTILINE)
        for module in re.findall(r'^import .* from "\./(.*)";$', text, re.MULTILINE):
            assert page_files.SCRIPTS.index(module) < page_files.SCRIPTS.index(script), (
                f"{script} comes before {module}"
            )
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))
    joined = page_files.joined_scripts()
    assert not re.findall(r"^(import|export)\b", joined, re.MULTILINE)
    assert {path.name for path in page_files.STATIC.glob("*.js")} == set(page_files.SCRIPTS)


@pytest.mark.parametrize(("make", "part"), [(lambda p: None, "no such file"), (lambda p: p.mkdir(), "is a folder")])
def test_the_command_refuses_what_is_no_file(tmp_path, capsys, make, part):
    path = tmp_path / "none.h5"
    make(path)
    with pytest.raises(SystemExit) as end:
        app.main(["view", str(path), "--no-browser"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "none.h5" in error
    assert part in error
    assert error.count("\n") == 1
