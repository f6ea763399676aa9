"""The program's HDF5 files: their schema, and how they are read, written, checked and joined from shards."""
