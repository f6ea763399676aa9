"""A flight path: phase history of the Gotcha collection

The radar flew 2 degrees of a circle, 10 km away, and the way to the scene's centre is removed from the phase of every
pulse. The importer notes that way, and the operators put it back exactly. Five points on the ground; with Taylor's
window their side lobes are 30 dB down.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import Panel, figure, save

scan = read_measured("gotcha", format="gotcha")
grid = VoxelGrid.parse("x=-20:20:161,y=-20:20:161,z=0:0:1")
plain = reconstruct("backprojection-fast", scan, grid)
windowed = reconstruct("backprojection-fast", scan, grid, window="taylor:30")

panels = [Panel("no window", plain.magnitude[0]), Panel("Taylor's window", windowed.magnitude[0])]
save(figure(panels, grid), "flight.png")
