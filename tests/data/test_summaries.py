"""What print and a notebook show of a measurement and of a reconstruction."""

from dataclasses import replace

import numpy as np
import pytest
from data_samples import make_measurement, make_reconstructions


@pytest.mark.parametrize("paired", [True, False])
def test_a_measurement_is_printed_in_a_few_lines(paired):
    scan = replace(make_measurement(paired), source="<b>lab</b>")
    text = str(scan)
    assert len(text) < 1500
    assert text.splitlines()[0] == "Measurement"
    shape = " x ".join(map(str, scan.values.shape[:2])).replace(" x ", " scenes x ")
    assert f"{shape} frequencies" in text
    assert f"{scan.array.n_tx} tx, {scan.array.n_rx} rx, {scan.array.n_channel} channels over" in text
    assert "background, gain" in text
    page = scan._repr_html_()
    assert page.count("<tr>") == len(text.splitlines()) - 1
    assert "&lt;b&gt;lab&lt;/b&gt;" in page
    assert "<b>lab" not in page


def test_a_reconstruction_names_its_peak_and_its_values_as_a_measurement_does():
    scan = make_measurement(False)
    made = make_reconstructions(scan)[0]
    assert made.values is made.image
    peak = np.unravel_index(np.abs(made.image[0]).argmax(), made.grid.shape)
    place = ", ".join(f"{axis[i]:.4g}" for axis, i in zip((made.grid.x, made.grid.y, made.grid.z), peak, strict=True))
    assert f"at ({place}) m" in str(made)
    assert f"method  {made.method}" in str(made)
    assert "<table>" in made._repr_html_()
    last = made.scenes([-1])
    np.testing.assert_array_equal(last.values, made.image[-1:])
    assert last.n_scene == 1
    assert last.seconds[0] == made.seconds[-1]
    with pytest.raises(ValueError, match="there are"):
        made.scenes([99])
