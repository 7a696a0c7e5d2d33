"""Prepared datasets on disk: records, index, and copies out of buckets."""
