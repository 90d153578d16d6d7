"""Keys of categorical columns: how rows become keys, their types, Arrow arrays and an index."""
