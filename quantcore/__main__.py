"""``python -m quantcore``: see `quantcore.cli`."""

from quantcore.cli import main

raise SystemExit(main())
