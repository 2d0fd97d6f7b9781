"""What every room of the data half builds on: configs, errors, hashes, deadlines, language codes."""
