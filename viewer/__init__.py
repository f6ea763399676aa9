"""Looking at three-dimensional reflectivity: figures made without a window, and what they are made of.

`mimo.viewer.figure` draws several methods side by side and writes PNG, SVG and PDF, `mimo.viewer.contact_sheet` many
targets on one page, `mimo.viewer.projections` and `mimo.viewer.surface` turn a volume into flat pictures and into
triangles. `mimo.viewer.server` serves the interactive page of `static/` with what `mimo.viewer.payload` gives it, and
`mimo.viewer.standalone` saves it. In every
picture x points to the right, y up, and z, down-range, towards the reader where it is not an axis of the page.
"""
