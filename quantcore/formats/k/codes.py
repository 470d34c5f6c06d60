"""How K-quants lay the codes of 256 weights into planes of 4, 2 or 1 bits.

Codes that lie `reach` places apart share a byte, the first of them in its lowest bits:

    nibbles, reach 32    byte 0 |  32 |   0 |               byte 32 |  96 |  64 |
    nibbles, reach 64    byte 0 |  64 |   0 |               byte 64 | 192 | 128 |
    crumbs               byte 0 |  96 |  64 |  32 |  0 |    byte 32 | 224 | 192 | 160 | 128 |
    bits                 byte 0 | 224 | 192 | 160 | 128 | 96 | 64 | 32 | 0 |
"""

from quantcore._jit import inlined


@inlined
def lay_nibbles(codes, reach, out):
    """Lay the low 4 bits of 256 codes into 128 bytes."""
    for start in range(0, 256, 2 * reach):
        for i in range(reach):
            low, high = codes[start + i] & 15, codes[start + reach + i] & 15
            out[start // 2 + i] = low | high << 4


@inlined
def lay_crumbs(codes, shift, out):
    """Lay two bits of 256 codes, from bit `shift` on, into 64 bytes."""
    for start in range(0, 256, 128):
        for i in range(32):
            a, b = codes[start + i] >> shift & 3, codes[start + 32 + i] >> shift & 3
            c, d = codes[start + 64 + i] >> shift & 3, codes[start + 96 + i] >> shift & 3
            out[start // 4 + i] = a | b << 2 | c << 4 | d << 6


@inlined
def lay_bits(codes, shift, out):
    """Lay bit `shift` of 256 codes into 32 bytes."""
    for i in range(32):
        byte = 0
        for j in range(8):
            byte |= (codes[32 * j + i] >> shift & 1) << j
        out[i] = byte
