"""Fuzz targets: `python -m tests.fuzz sip --count 1000000`. A target is one file here and one line in `targets`."""
