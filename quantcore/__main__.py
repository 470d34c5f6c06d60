"""``python -m quantcore``: see `quantcore.cli`."""

import signal

from quantcore.cli import main

signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: half a file is removed
raise SystemExit(main())
