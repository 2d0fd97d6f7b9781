"""How a stage reads and writes: store, parts, manifests, schemas, and the record of a stage."""
