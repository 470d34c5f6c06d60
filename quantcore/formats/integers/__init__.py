"""INT2 to INT8 by tensor, row or group, with or without a zero point.

One format for each name, made when it is asked for; so one class, and no file a format.
"""
