"""Sentences of the page Sensitivity: numbers in, text out; a module for each section."""
