"""How training reaches its machines: this one, a Slurm job, or a Kubernetes Job; each is a command that a flow runs."""
