"""Asking a language model, where an installation has one."""
