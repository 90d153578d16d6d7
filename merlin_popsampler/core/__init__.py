"""The mathematics that the frameworks share: ids, distributions, draw plans, expected counts.

Here lives what can be said in NumPy, in float64, without an id of a real catalog being read: no
schema, no file, no tensor. It may import NumPy, the standard library and `errors`.
"""
