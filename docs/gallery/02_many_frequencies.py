"""Many frequencies: range profiles, with and without near-field terms

A breast phantom in the layout of the MERIT toolbox: a folder of scans as CSV, one of which is the background. The
sweep has 101 frequencies, so each channel is first summed over them, once, into a range profile. Both image formers
are told the medium, a relative permittivity of 8, and show the one point that stands for a tumour; the antennas
surround it, so voxels outside of them are left out and hatched.
"""

from mimo import VoxelGrid
from mimo.data import read_measured, subtract_background
from mimo.recon import reconstruct
from mimo.viewer import figure, panels_from, save

scan = read_measured("phantom", format="merit", scan="B0", background="empty", permittivity=8)
scan = subtract_background(scan)
grid = VoxelGrid.parse("x=-0.07:0.07:57,y=-0.07:0.07:57,z=0:0.07:29")
images = [reconstruct(method, scan, grid) for method in ("backprojection-fast", "kirchhoff-fast")]

save(figure(panels_from(None, images), grid), "many_frequencies.png")
