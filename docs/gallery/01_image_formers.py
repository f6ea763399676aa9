"""Image formers: back-projection and Kirchhoff migration

A MIMO scan in MATLAB's format, as IEEE DataPort has it, and the two image formers that every other method is compared
with. Seven points in the shape of a cross stand 0.5 m before an array of 14 x 13 antennas; Kirchhoff migration, which
weighs each channel by its angles and distances, shows them with less around them.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import figure, panels_from, save

scan = read_measured("Exp_GunData4ImagingFD.mat", format="dataport")
grid = VoxelGrid.parse("x=-0.12:0.12:49,y=-0.12:0.12:49,z=0.4:0.6:21")
images = [reconstruct(method, scan, grid) for method in ("backprojection", "kirchhoff")]

save(figure(panels_from(None, images), grid), "image_formers.png")
