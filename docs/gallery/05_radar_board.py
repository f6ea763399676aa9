"""A radar board: the quickest way by itself, and a window

A capture of a TI IWR1843, 3 x 4 antennas at 77 GHz, with the profile that configured it. One board sees range and the
angle along its row, so the grid is one voxel high. `auto-physics` predicts which way to back-project is the quickest.
The second image has a window over the band and the aperture: no side lobes, but a main lobe so wide that the two
points run into one. On a board of so few antennas and so little bandwidth, use none.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import Panel, figure, save

scan = read_measured("capture", format="ti", settings={"board": "iwr1843"})
grid = VoxelGrid.parse("x=-0.3:0.3:61,y=0:0:1,z=0.7:1.3:121")
plain = reconstruct("auto-physics", scan, grid)
windowed = reconstruct("auto-physics", scan, grid, window="hann")

panels = [Panel("no window", plain.magnitude[0]), Panel("Hann window", windowed.magnitude[0])]
save(figure(panels, grid), "radar_board.png")
