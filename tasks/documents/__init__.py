"""Documents that exist already: rows of JSON lines and Parquet files, and the texts of WET files."""
