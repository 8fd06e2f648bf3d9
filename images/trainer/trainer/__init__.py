"""A small trainer for tables: CSV in, a SavedModel and its metrics out."""
