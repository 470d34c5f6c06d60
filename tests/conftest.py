"""Which files under `tests` hold no tests."""

# Doctests are looked for in every module, but these need packages that only `make peers` installs.
collect_ignore_glob = ["peers/[!t]*.py"]
