"""Filters as data: signals measured once for each document, and profiles of named rules over them."""
