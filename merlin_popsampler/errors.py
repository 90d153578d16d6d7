"""The exceptions that this package raises on purpose."""


class PopSamplerError(ValueError):
    """Base class: an argument, a schema or an input that cannot give a correct sampler."""


class SchemaError(PopSamplerError):
    """A Merlin schema that lacks, contradicts or garbles what a sampler must know of a column."""


class FrequencyOrderError(PopSamplerError):
    """Ids that are not, or cannot be, sorted by decreasing frequency."""
