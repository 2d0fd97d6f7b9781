"""The ground floor: configs, errors, exit codes, locks; no torch except in device.py."""
