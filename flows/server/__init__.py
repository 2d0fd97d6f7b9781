"""A Prefect server to deploy to, on this machine: PostgreSQL, the server, and a worker (`make server`)."""
