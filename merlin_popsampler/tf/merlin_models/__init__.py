"""Where Merlin Models is met: its interfaces as the sampler answers them.

Nothing outside this folder may need Merlin Models, which imports on TensorFlow 2.12 only; what is
here imports it when it is called, and not before.
"""
