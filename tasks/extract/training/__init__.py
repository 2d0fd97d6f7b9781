"""How the models of `tasks.extract.content` are learnt from pages with gold texts."""
