"""A network analyser: the regularised inverse

A folder of Touchstone files, one for each pair of 7 x 6 antennas. The regularised inverse explains the data instead of
summing them up, and what of them is noise it finds by generalised cross-validation. So few antennas leave it little to
gain: the L is a little narrower, and the clutter is that of back-projection.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import figure, panels_from, save

scan = read_measured("analyser", format="touchstone")
grid = VoxelGrid.parse("x=-0.12:0.12:33,y=-0.12:0.12:33,z=0.4:0.6:17")
images = [reconstruct(method, scan, grid) for method in ("backprojection", "tikhonov")]

save(figure(panels_from(None, images), grid), "network_analyser.png")
