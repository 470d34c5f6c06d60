"""E8P2, E8P3 and E8P4: QuIP#'s two bits a weight, and what is left in another one or two.

    E8P2    16 bits for 8 weights: a point of E8P
    E8P3    24 bits: and one of E8's 256 for the rest, 2.04 times as large
    E8P4    32 bits: and one of E8P for the rest, 3.8 times as large

Spreads and factors are where the error of a normal distribution is least: 0.0915, 0.0297 and 0.0084
of its mean square. (The best single numbers: 0.1175, 0.0345, 0.0095; no code can be below 0.0625,
0.0156, 0.0039.) For two and three bits they are QuIP#'s own; its 1.03 and 3.45 for four bits leave
0.0098.
"""

from quantcore.formats.lattice.codebook import Codebook
from quantcore.formats.lattice.codebooks import E8_POINTS, e8p_points
from quantcore.formats.lattice.lattice import LatticeFormat
from quantcore.formats.lattice.search import nearest_e8, nearest_e8p

E8P = Codebook(name="E8P", code_bytes=2, points=e8p_points, nearest=nearest_e8p)
E8 = Codebook(name="E8", code_bytes=1, points=lambda: E8_POINTS, nearest=nearest_e8)

E8P2 = LatticeFormat(name="E8P2", code_bits=2, codebook=E8P, spread=1.03)
E8P3 = LatticeFormat(name="E8P3", code_bits=3, codebook=E8P, second=E8, spread=0.98, refine=2.04)
E8P4 = LatticeFormat(name="E8P4", code_bits=4, codebook=E8P, second=E8P, spread=0.9, refine=3.8)
