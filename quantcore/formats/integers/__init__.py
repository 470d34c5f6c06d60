"""INT2 to INT8 by tensor, row or group, with or without a zero point."""
