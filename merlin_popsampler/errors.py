"""The exceptions that this package raises on purpose."""


class PopSamplerError(ValueError):
    """Base class: an argument, a schema or an input that cannot give a correct sampler."""

    # TensorFlow turns errors raised in a trace into StagingError, unless this is Exception's own.
    __init__ = Exception.__init__


class SchemaError(PopSamplerError):
    """A Merlin schema that lacks, contradicts or garbles what a sampler must know of a column."""


class FrequencyOrderError(PopSamplerError):
    """Ids that are not, or cannot be, sorted by decreasing frequency."""
