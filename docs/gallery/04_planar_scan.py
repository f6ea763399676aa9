"""A planar scan: range migration

Arrays of your own names in an npz file: the scan of a network analyser that every clone has in `samples/`, whose
mapping file says what each array is and how the antenna moved. The background is the empty room. Range migration sums
plane waves by FFTs, which is far quicker than voxel by voxel on large scans.
"""

import tomllib
from pathlib import Path

from mimo import VoxelGrid
from mimo.data import read_measured, subtract_background
from mimo.recon import reconstruct
from mimo.viewer import figure, panels_from, save

settings = tomllib.loads(Path("raster.toml").read_text())
settings.pop("format")
scan = read_measured("raster.npz", format="array", background="raster-empty.npz", settings=settings)
scan = subtract_background(scan)
grid = VoxelGrid.parse("x=-0.08:0.08:65,y=-0.08:0.08:65,z=0.26:0.34:17")
image = reconstruct("range-migration", scan, grid)

save(figure(panels_from(None, [image]), grid, floor_db=-20), "planar_scan.png")
