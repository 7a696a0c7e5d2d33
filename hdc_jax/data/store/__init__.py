"""Prepared datasets on disk: records, index, local copies."""
