"""What a Merlin schema carries about an id column, and the sampler's arguments that follow.

Here lives what producers (`ops`) and consumers (`tf`) of a popularity agree on: its fields, how
they are found, checked, written and turned into arguments. It may import `errors`, `core` and, when
a schema is at hand, `merlin.schema`; never NVTabular, never a deep-learning framework.
"""
