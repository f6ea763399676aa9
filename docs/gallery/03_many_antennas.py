"""Many antennas: factorised back-projection

A frame of an R&S QAR50 as the MAROON data set keeps it: 94 transmitters, 94 receivers, 72 to 82 GHz. Groups of
neighbouring antennas see a block of voxels alike, so a few nodes stand for each group. The target is the letter R, 30
mm high, of points 5 mm apart.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import figure, panels_from, save

scan = read_measured("frame", format="qar50")
grid = VoxelGrid.parse("x=-0.03:0.03:61,y=-0.03:0.03:61,z=0.28:0.32:21")
image = reconstruct("backprojection-factorised", scan, grid)

save(figure(panels_from(None, [image]), grid, floor_db=-20), "many_antennas.png")
