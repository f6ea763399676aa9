"""A reconstruction is seen forming: `reconstruct --live` writes what `view --watch` shows."""

import threading

import numpy as np
from chromium import pixels, settled, texts, wait_until
from served import served
from viewer_samples import make_file

from mimo.recon import files
from mimo.recon.files import reconstruct_file


def test_image_and_history_are_seen_forming(page, tmp_path, monkeypatch):
    source, out = make_file(tmp_path / "in.h5", n_scene=1, images={}), tmp_path / "out.h5"
    save, go_on = files.data.save, threading.Semaphore(0)

    def saving(*arguments, **options):
        save(*arguments, **options)
        assert go_on.acquire(timeout=60)

    monkeypatch.setattr(files.data, "save", saving)
    options = {"l1": {"max_iterations": 5, "tolerance": 0.0}}
    run = threading.Thread(target=reconstruct_file, args=(source, out, ["l1"]), kwargs={"options": options, "live": 2})
    with served(out, watch=True) as site:
        page.goto(site)
        wait_until(page, "document.getElementById('notice').textContent.includes('no such file')")
        run.start()
        pictures = []
        for told in ("running: iteration 2", "running: iteration 4", " s · 5 iterations"):
            wait_until(page, f"document.querySelectorAll('.panel .facts')[1]?.textContent.includes('{told}')")
            settled(page)
            assert page.locator("#notice").is_hidden()
            assert texts(page, ".panel h2") == ["truth", "l1"]
            pictures.append(pixels(page, ".panel:nth-child(2) .sections"))
            page.locator("#tab-history").click()
            n = 5 if "5" in told else int(told[-1])
            assert page.evaluate("mimoViewer.panels[1].header.history.residual.length") == n
            wait_until(page, "document.querySelectorAll('#page-history .plot').length >= 3")
            pictures.append(pixels(page, "#page-history .plot"))
            page.locator("#tab-images").click()
            go_on.release()
        run.join(30)
    assert not run.is_alive()
    for n in (0, 1):
        for one, other in zip(pictures[n::2], pictures[n + 2 :: 2], strict=False):
            assert one.shape != other.shape or np.any(one != other)
