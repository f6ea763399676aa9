"""Looking at three-dimensional reflectivity: figures made without a window, and what they are made of.

`viewer.figure` draws several methods side by side and writes PNG, SVG and PDF, `viewer.contact_sheet` many targets on
one page, `viewer.projections` and `viewer.surface` turn a volume into flat pictures and into triangles.
`viewer.server` serves the interactive page of `static/` with what `viewer.payload` gives it, and `viewer.standalone`
saves it. In every
picture x points to the right, y up, and z, down-range, towards the reader where it is not an axis of the page.
"""
