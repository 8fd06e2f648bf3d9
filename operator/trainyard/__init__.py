"""Trainyard: from data to live traffic, and back when a model misbehaves."""
