"""Looking into what an engine made."""

from __future__ import annotations

from pathlib import Path

from genfleet_workers.engines.base import Product


def file_of(product: Product) -> Path:
    """The file of a product that has one."""
    assert product.file is not None, f"no file was made, only {product.values}"
    return product.file
