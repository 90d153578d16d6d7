"""Defines the exceptions that this package raises."""


class PopSamplerError(ValueError):
    """Signals an argument, a schema or an input that cannot give a correct sampler.

    It is the base class of all errors of this package. It is a `ValueError`.

    Examples:
      >>> from merlin_popsampler.core.domain import IdDomain
      >>> try:
      ...     IdDomain(5, 3)
      ... except PopSamplerError as error:
      ...     print(str(error).split(".")[1])
       Received: min_id=5, max_id=3
    """

    # TensorFlow turns errors of a trace into StagingError, unless their class has this constructor.
    __init__ = Exception.__init__


class SchemaError(PopSamplerError):
    """Signals a Merlin schema whose data on a column are missing, damaged or contradictory.

    Examples:
      >>> issubclass(SchemaError, PopSamplerError)
      True
    """


class FrequencyOrderError(PopSamplerError):
    """Signals ids that are not in frequency order, or that cannot be put into it.

    Examples:
      >>> from merlin_popsampler import check_order
      >>> try:
      ...     check_order([1, 2])
      ... except FrequencyOrderError:
      ...     print("id 1 occurs more often than id 0")
      id 1 occurs more often than id 0
    """
